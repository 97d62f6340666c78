// Asks an IAM policy simulator. Standard input is JSON:
//   {"documents": {name: policy document},
//    "requests": [{"principal", "account", "action", "resource", "context": {key: value}, "policies": [name]}]}
// Standard output is an array with `Allowed`, `ExplicitlyDenied` or `ImplicitlyDenied` for each request. What the simulator
// refuses to judge (an action or a resource that IAM does not know, a document that is none, a context key that the action
// does not have) ends the script with an error: a table with a hole in it proves nothing.
import { createValidatedPolicy, validateIdentityPolicy } from '@cloud-copilot/iam-policy'
import { runSimulation } from '@cloud-copilot/iam-simulate'

async function decide(documents, { principal, account, action, resource, context, policies }) {
  const asked = `${action} on ${resource} with ${JSON.stringify(context)} under ${policies}`
  const answer = await runSimulation({
    request: { principal, action, resource: { resource, accountId: account }, contextVariables: context },
    identityPolicies: policies.map(name => ({ name, policy: documents[name] })),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  }, {})
  // An action without resources of its own is judged on `*`, and answered as a list: of one where a statement names it.
  const results = answer.resultType === 'wildcard' ? answer.results : [answer.result]
  if (answer.resultType === 'error' || results.length > 1) {
    throw new Error(`${asked}: ${JSON.stringify(answer.errors ?? results)}`)
  }
  if (results[0]?.ignoredContextKeys?.length) {
    throw new Error(`${asked}: the action knows no ${results[0].ignoredContextKeys.join(', ')}`)
  }
  return answer.overallResult
}

let text = ''
for await (const chunk of process.stdin) text += chunk
const { documents, requests } = JSON.parse(text)
// Validated once rather than with every request.
for (const name in documents) documents[name] = createValidatedPolicy(documents[name], validateIdentityPolicy)
const decisions = []
for (const request of requests) decisions.push(await decide(documents, request))
process.stdout.write(JSON.stringify(decisions))

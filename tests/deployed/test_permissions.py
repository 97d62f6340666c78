"""The permissions proved: an IAM policy simulator over the documents that the deployed stack has put into IAM."""

import copy
import json
import os
import re
import unittest
from fnmatch import fnmatch

import deployed
import page
import permissions
import role
from permissions import FIVE

PAGE = deployed.ROOT / "docs" / "permissions.md"
FIXTURE = deployed.ROOT / "tests" / "deployed" / "fixtures" / "AmazonAthenaFullAccess.json"
# What IAM allows for a managed policy, in characters that are no white space.
LARGEST_POLICY = 6144
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def bases():
    """The documents that a person may hold besides, by name."""
    return {"everything": EVERYTHING, permissions.FULL: json.loads(FIXTURE.read_text())["Document"]}


def decide(at, documents, cells):
    """`{(situation, attempt): decision}`."""
    return dict(zip(cells, deployed.simulate({**bases(), **documents}, permissions.requests(at, cells))))


def cells_of(situations, tried):
    """Every attempt where the policies differ most, the telling ones everywhere else."""
    few = permissions.telling(tried)
    return [
        (who, each) for title, _, people in situations for who in people
        for each in (tried if title in permissions.IN_FULL else few)
    ]


def wrong(decided):
    """The cells that are not as the rule has them, in words."""
    return [
        f"{who}: {tried.action} on {tried.resource} {tried.context or ''} is `{decision}`, should be `{should}`"
        for (who, tried), decision in decided.items()
        if decision != (should := permissions.expected(who, tried))
    ]


def size(document):
    """Characters that are no white space, as IAM counts."""
    return len(re.sub(r"\s", "", json.dumps(document)))


def longest(at, document):
    """The document as it is for a stack with a name as long as there are, in the Region with the longest name."""
    text = json.dumps(document).replace(at.region, "ap-northeast-1")
    return json.loads(re.sub(rf"\b{re.escape(at.stack)}(?=[-/])", "s" * 128, text))


def actions_of(document, effect):
    """The actions that a document's statements name, as they stand there."""
    found = set()
    for statement in document["Statement"]:
        if statement["Effect"] == effect:
            actions = statement["Action"]
            found.update([actions] if isinstance(actions, str) else actions)
    return found


def decide_role(at, documents, sender, domain):
    """`[(call, decision)]` for the function's role."""
    found = role.calls(at, sender, domain)
    return list(zip(found, deployed.simulate({"role": role.merged(documents)}, role.requests(at, found))))


def wrong_calls(decided):
    return [
        f"{call.action} on {call.on}: `{word}`, should be `{call.expected}`" for call, word in decided if word != call.expected
    ]


class PermissionsTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        account, cls.stack = deployed.Account(), os.environ["WATCHDOG_STACK"]
        cls.at = account.place(cls.stack)
        cls.policies = account.policies(cls.stack)
        cls.role, cls.attached = account.role(cls.stack)
        parameters = account.parameters(cls.stack)
        cls.sender, cls.domain = parameters["SenderEmail"], parameters["AllowedRecipientDomains"].split(",")[0]
        cls.tried = permissions.attempts(cls.at)
        cls.situations = permissions.situations()

    def test_every_cell_is_as_the_rule_has_it_and_the_page_says_so(self):
        decided = decide(self.at, self.policies, cells_of(self.situations, self.tried))
        calls = decide_role(self.at, self.role, self.sender, self.domain)
        print(f"{len(decided) + len(calls)} decisions of the IAM simulator")
        self.assertEqual(wrong(decided), [])
        self.assertEqual(wrong_calls(calls), [])
        text = page.render(self.situations, self.tried, decided, calls, json.loads(FIXTURE.read_text()))
        if os.environ.get("UPDATE_EXPECT") == "1":
            PAGE.write_text(text)
        self.assertEqual(PAGE.read_text() if PAGE.exists() else "", text, "`make permissions` writes docs/permissions.md anew")

    def test_the_five_policies_differ_in_nothing_but_the_workgroup(self):
        def text(name):
            return re.sub(rf"\b{name}\b", "OWN", json.dumps(self.policies[name], sort_keys=True))

        for name in FIVE:
            self.assertEqual(text(name), text(FIVE[0]), name)

    def test_every_policy_fits_into_iam(self):
        for name, document in self.policies.items():
            self.assertLessEqual(size(longest(self.at, document)), LARGEST_POLICY, name)

    def test_no_action_of_a_policy_is_without_its_cell(self):
        tried = {each.action for each in self.tried}
        for name, document in self.policies.items():
            denied = {each for each in actions_of(document, "Deny") if not re.search(r"[*?]", each)}
            self.assertEqual(denied - tried, set(), f"{name}: add them to tests/deployed/permissions.py")

    def test_no_action_of_the_function_is_without_its_cell(self):
        calls = role.calls(self.at, self.sender, self.domain)
        allowed = {action for document in self.role.values() for action in actions_of(document, "Allow")}
        may = {call.action for call in calls if call.expected == permissions.YES}
        self.assertEqual(allowed, may, "tests/deployed/role.py and FunctionRole in template.yaml")
        self.assertEqual(self.attached, [], "managed policies on the function's role")


# In which situations a policy that is wider or narrower than it should be comes out.
TELLING = {
    "exploratory": [
        permissions.Situation(("exploratory",)), permissions.Situation(("exploratory",), "everything"),
        permissions.Situation(("exploratory", "long-query"), "everything", ("exploratory", "long-query")),
    ],
    "confinement": [
        permissions.Situation((), "everything", (), True), permissions.Situation((), "everything", ("long-query",), True),
    ],
}


def mutants(document, foreign):
    """`(what was done, the actions it is about, document)` for every statement: wider, narrower, gone."""
    for index, statement in enumerate(document["Statement"]):
        sid, actions = statement["Sid"], statement["Action"]
        actions = [actions] if isinstance(actions, str) else actions
        deny = statement["Effect"] == "Deny"

        def changed(remove=None, **new):
            made = copy.deepcopy(document)
            made["Statement"][index].update(new)
            made["Statement"][index].pop(remove, None)
            return made

        without = copy.deepcopy(document)
        del without["Statement"][index]
        yield f"without {sid}", actions, without
        if "Condition" in statement:
            yield f"{sid} without its condition", actions, changed(remove="Condition")
        if not deny and statement["Resource"] != "*":
            yield f"{sid} on everything", actions, changed(Resource="*")
        if deny and isinstance(statement.get("Resource"), list):
            for one in statement["Resource"]:
                yield f"{sid} not on {one}", actions, changed(Resource=[each for each in statement["Resource"] if each != one])
        if "NotResource" in statement:
            yield f"{sid} lets {foreign} be", actions, changed(NotResource=[*statement["NotResource"], foreign])
        if deny and len(actions) > 1:
            for one in actions:
                yield f"{sid} without {one}", [one], changed(Action=[each for each in actions if each != one])


class MutationTest(unittest.TestCase):
    """Would the table notice? Each policy that is made wider or narrower must change some cell."""

    @classmethod
    def setUpClass(cls):
        PermissionsTest.setUpClass.__func__(cls)

    def test_every_statement_and_every_denied_action_of_a_policy_matters(self):
        cells, documents, whose = [], dict(self.policies), []
        for name, people in TELLING.items():
            for number, (what, actions, document) in enumerate(mutants(self.policies[name], self.at.workgroup("primary"))):
                mutant = f"{name}-{number}"
                documents[mutant] = document
                about = [each for each in self.tried if any(fnmatch(each.action, one) for one in actions)
                         and each.workgroup in (None, "exploratory", "long-query", "primary")]
                cells += [(who, each) for who in people for each in about]
                whose += [(mutant, name, what)] * (len(people) * len(about))
        asked = permissions.requests(self.at, cells)
        for request, (mutant, name, _) in zip(asked, whose):
            request["policies"] = [mutant if each == name else each for each in request["policies"]]
        noticed = {what: 0 for what in whose}
        for cell, what, decision in zip(cells, whose, deployed.simulate({**bases(), **documents}, asked)):
            noticed[what] += decision != permissions.expected(*cell)
        print(f"{len(noticed)} mutants of the policies, {len(asked)} decisions")
        self.assertGreater(len(noticed), 50)
        self.assertEqual([f"{name}: {what}" for (_, name, what), cells in noticed.items() if cells == 0], [], "changes no cell")

    def test_every_statement_of_the_functions_role_matters(self):
        calls, documents, asked, whose = role.calls(self.at, self.sender, self.domain), {}, [], []
        for name, document in self.role.items():
            for what, actions, mutant in mutants(document, "*"):
                documents[f"{name}: {what}"] = role.merged({**self.role, name: mutant})
                about = [call for call in calls if call.action in actions]
                asked += [{**request, "policies": [f"{name}: {what}"]} for request in role.requests(self.at, about)]
                whose += [(f"{name}: {what}", call) for call in about]
        noticed = dict.fromkeys(documents, 0)
        for (what, call), decision in zip(whose, deployed.simulate(documents, asked)):
            noticed[what] += decision != call.expected
        print(f"{len(noticed)} mutants of the role, {len(asked)} decisions")
        self.assertGreater(len(noticed), 10)
        self.assertEqual([what for what, calls in noticed.items() if calls == 0], [], "changes no call")


if __name__ == "__main__":
    unittest.main()

"""docs/permissions.md, from what the simulator decided."""

from permissions import FIVE, OTHERS, WORKGROUPS

PREAMBLE = """\
# Who may do what

Each table is one thing that may be attached to a person. What stands in it is not what the policies are meant to say, but what
an IAM policy simulator decided over the documents that IAM holds once the stack is deployed. `make test` asks it again, holds
every cell against a rule that knows nothing of the policies' text (`expected` in `tests/deployed/permissions.py`), and fails
where this page differs. `make permissions` writes it anew.

| | |
|---|---|
| yes | allowed |
| no | nothing allows it; another policy could |
| **never** | denied; no other policy can allow it |

`AmazonAthenaFullAccess` is AWS's own, version {version} of {date}.

What is not in it: other policies of yours, the data in S3 and Lake Formation, bucket policies, service control policies.

| in short | actions |
|---|---|
"""


def columns(who):
    """The workgroups as a person in a situation sees them: `(heading, names)`."""
    tagged = [name for name in who.tags if name not in who.given]
    rest = [name for name in FIVE if name not in who.given and name not in tagged]
    given = "its own workgroup" if len(who.given) == 1 else "their workgroups"
    found = [
        (given, list(who.given)),
        ("the one in the tag" if len(tagged) == 1 else "those in the tags", tagged),
        ("another of the five" if who.given or who.tags else "the five", rest),
        ("`primary` and others", [name for name in OTHERS if name not in who.given and name not in tagged]),
    ]
    return [(heading, names) for heading, names in found if names]


def cell(decisions):
    """One decision, for all that a cell stands for; several are shown as what they are."""
    words = sorted(set(decisions))
    return " / ".join("**never**" if word == "never" else word for word in words)


def short(actions):
    """Actions, the service named once: ``athena:`GetX`, `GetY` ``."""
    seen, parts = None, []
    for action in dict.fromkeys(actions):
        service, name = action.split(":")
        parts.append(f"`{action if service != seen else name}`")
        seen = service
    return ", ".join(parts)


def legend(tried):
    """Each group's actions."""
    groups = {}
    for each in tried:
        groups.setdefault(each.group, []).append(each.action)
    return "".join(f"| {group} | {short(actions)} |\n" for group, actions in groups.items())


def rows(tried, value):
    """`(group, what of it or "", cells)`: one row a group, or one for each part of it that is decided alike."""
    groups = {}
    for each in tried:
        groups.setdefault(each.group, {}).setdefault(value(each.action, each.group), []).append(each.action)
    found = []
    for group, parts in groups.items():
        for cells, actions in parts.items():
            found.append((group, f": {short(actions)}" if len(parts) > 1 else "", cells))
    return found


def table(people, tried, decided):
    """The table of situations that are alike."""
    headings = list(dict.fromkeys(heading for who in people for heading, _ in columns(who)))

    def about_workgroups(action, group):
        found = []
        for wanted in headings:
            names = [(who, name) for who in people for heading, part in columns(who) if heading == wanted for name in part]
            found.append(cell(decided[who, each] for who, name in names for each in tried
                              if (each.action, each.group, each.workgroup) == (action, group, name)))
        return tuple(found)

    def about_others(action, group):
        return cell(decided[who, each] for who in people for each in tried if (each.action, each.group) == (action, group))

    one = [each for each in tried if each.workgroup == WORKGROUPS[0]]
    text = f"| | {' | '.join(headings)} |\n|---|{'---|' * len(headings)}\n"
    for group, part, cells in rows(one, about_workgroups):
        text += f"| {group}{part} | {' | '.join(cells)} |\n"
    sums = {}
    for group, part, word in rows([each for each in tried if each.workgroup is None], about_others):
        sums.setdefault(word, []).append(group + part)
    for word in sorted(sums, key=lambda word: ("yes", "no").index(word) if word in ("yes", "no") else 2):
        text += f"\n{word}: {'; '.join(sums[word])}.\n"
    return text


def render(situations, tried, decided, role, full_access):
    """The whole page; `full_access` is what IAM says of AmazonAthenaFullAccess."""
    text = PREAMBLE.format(version=full_access["VersionId"], date=full_access["UpdateDate"][:10]) + legend(tried)
    for title, note, people in situations:
        there = [each for each in tried if (people[0], each) in decided]
        text += f"\n## {title}\n\n" + (f"{note}\n\n" if note else "") + table(people, there, decided)
    text += "\n## The function's own role\n\n| action | on | |\n|---|---|---|\n"
    calls = {}
    for each, word in role:
        calls.setdefault((each.action, cell([word])), []).append(each.on)
    for (action, word), on in calls.items():
        text += f"| `{action}` | {'; '.join(on)} | {word} |\n"
    return text

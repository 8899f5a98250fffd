"""Every proof that docs/reference/rest.md names is there."""

import re
from pathlib import Path

HERE = Path(__file__).parent
CONTRACTS = {"contract": "test_rows.py", "injection": "test_injection.py"}
REFERENCE = HERE.parent.parent / "docs" / "reference" / "rest.md"
PROOF = re.compile(r"`(\w+)::(?:(\w+)::)?(test_\w+)(?:\[(\w+)\])?`")


def test_proofs_exist():
    text = REFERENCE.read_text("utf-8")
    proofs = [match.groups() for match in PROOF.finditer(text)]
    assert len(proofs) == text.count("::") - text.count("::Test")
    assert not [proof for proof in proofs if not is_there(*proof)]


def is_there(file: str, group: str | None, test: str, case: str | None) -> bool:
    contract = CONTRACTS.get(file)
    path = HERE.parent / "contracts" / contract if contract else HERE / f"test_rows_{file}.py"
    source = path.read_text("utf-8")
    return (
        f"def {test}(" in source
        and (group is None or f"class {group}:" in source)
        and (case is None or f'    "{case}": ' in source)
    )

"""docs/configuration.md says what the code does."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from config import daemon, members, people, places, schema, services
from config.reference_doc import reference_markdown
from config.validation import public_fields

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_markdown(), (
        'write it anew: python -c "from config.reference_doc import write; from pathlib import Path; '
        "write(Path('docs/configuration.md'))\""
    )


def test_every_key_has_a_meaning() -> None:
    for module in (daemon, members, people, places, schema, services):
        for model in vars(module).values():
            if isinstance(model, type) and issubclass(model, BaseModel):
                for key, field in public_fields(model).items():
                    assert field.description, f"{model.__name__}.{key}"
                    assert f"| `{key}` |" in reference_markdown()

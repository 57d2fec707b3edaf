"""How `alpr` takes its words: old spellings of options, and one sentence about what does not exist."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

Complaint: type[Exception] = typer.BadParameter.__mro__[2]
"""What the command line's parser raises; typer gives the class no public name."""
RENAMED = {"--model": "--bundle", "--num-workers": "--workers", "--ccpd-dir": "--dataset-path"}
NOTED = {"--model"}
"""Old names about which a note is printed."""
TRAINING = """albumentations hydra lightning omegaconf onnx onnxscript PIL safetensors timm torch torchvision"""
SERVING = """fastapi uvicorn python_multipart"""
EXTRAS = {
    **dict.fromkeys(TRAINING.split(), "train"),
    **dict.fromkeys(SERVING.split(), "serve"),
    "faster_coco_eval": "eval",
}
"""Modules that the base installation lacks, and the extra that brings them."""


class Verb(TyperCommand):
    """A verb with options: `--dataset_path` is `--dataset-path`, and an option's old name is its new one."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        known = [option for parameter in self.params for option in (*parameter.opts, *parameter.secondary_opts)]
        try:
            return super().parse_args(ctx, _today(args, known))
        except Complaint as error:
            raise typer.BadParameter(_sentence(error, self, ctx), ctx=ctx) from error


class Verbs(TyperGroup):
    """A group of verbs, whose complaints are one sentence on stderr and exit code 2."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if not args:
            typer.echo(ctx.get_help())
            raise typer.Exit
        try:
            return super().parse_args(ctx, args)
        except Complaint as error:
            raise typer.BadParameter(_sentence(error, self, ctx), ctx=ctx) from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands:
            raise typer.BadParameter(
                f"{ctx.command_path} has no verb {args[0]!r}; expected one of {', '.join(self.commands)}.", ctx=ctx
            )
        return super().resolve_command(ctx, args)

    def main(self, *words: Any, **more: Any) -> Any:
        if not more.setdefault("standalone_mode", True):
            return super().main(*words, **more)
        try:
            code = super().main(*words, **{**more, "standalone_mode": False})
        except Complaint as error:
            text = str(getattr(error, "message", error))
            typer.echo(" ".join(text.split()), err=True)
            sys.exit(2)
        except ModuleNotFoundError as error:
            extra = EXTRAS.get(str(error.name).partition(".")[0])
            if extra is None:
                raise
            typer.echo(f"This verb needs {error.name}, which is not here: pip install 'alpr-train[{extra}]'.", err=True)
            sys.exit(2)
        sys.exit(code if isinstance(code, int) else 0)


def _today(words: list[str], known: list[str]) -> list[str]:
    """The words with every long option as it is spelled today."""
    spelled: list[str] = []
    for place, word in enumerate(words):
        if word == "--":
            return [*spelled, *words[place:]]
        name, equals, value = word.partition("=")
        if name.startswith("--") and name not in known:
            name = name.replace("_", "-")
            new = RENAMED.get(name)
            if name not in known and new in known and new is not None:
                if name in NOTED:
                    typer.echo(f"Note: {name} is called {new} now.", err=True)
                name = new
        spelled.append(f"{name}{equals}{value}")
    return spelled


def _sentence(error: Exception, command: TyperCommand | TyperGroup, ctx: Any) -> str:
    """What the parser found wrong, with what there is."""
    option = getattr(error, "option_name", None)
    if type(error).__name__ == "NoSuchOption" and option is not None:
        shown = [p for p in command.params if not getattr(p, "hidden", False)]
        there = [o for p in shown for o in (*p.opts, *p.secondary_opts) if o.startswith("-")]
        return f"{ctx.command_path} has no option {option}; it has {', '.join([*there, '--help'])}."
    if type(error).__name__ == "MissingParameter":
        lacking: Any = getattr(error, "param", None)
        name = lacking.opts[0] if lacking.opts[0].startswith("-") else lacking.metavar
        return f"{ctx.command_path} lacks {name}; {ctx.command_path} --help says what it is."
    told = str(error.format_message() if hasattr(error, "format_message") else error).rstrip(".")
    return f"{ctx.command_path}: {told.replace('Value error, ', '')}."

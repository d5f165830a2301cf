"""``wallet-guard completion bash|zsh|fish``: what a shell needs to complete our command line, made from the parser.

eval "$(wallet-guard completion bash)"
wallet-guard completion zsh >"${fpath[1]}/_wallet-guard"
wallet-guard completion fish >~/.config/fish/completions/wallet-guard.fish
"""

import argparse
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

FILE_NAMES = ("FILE", "PATH", "FOLDER")
"""What a value that is a file is called in our help."""

MAX_HELP_CHARACTERS = 70
"""Of a description beside a word: one line of a terminal."""


@dataclass(frozen=True, slots=True)
class Option:
    """``takes`` is whether a value follows, ``choices`` the ones there are, ``is_file`` whether it names a file."""

    names: tuple[str, ...]
    about: str
    takes: bool
    choices: tuple[str, ...]
    is_file: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A point of the command line: the words before it (each after a space), and what may follow."""

    path: str
    words: tuple[tuple[str, str], ...]
    options: tuple[Option, ...]
    choices: tuple[str, ...]


def add_words(parsers: Any) -> None:
    """``completion``."""
    parser = parsers.add_parser(
        "completion",
        help="what a shell needs to complete this command",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=sorted(SHELLS))
    parser.set_defaults(answer=completion, parsers=parsers)


def completion(chosen: argparse.Namespace) -> int:
    """Prints the script."""
    places = list(read_places(chosen.parsers, ""))
    print(SHELLS[chosen.shell](places), end="")
    return 0


def read_places(parsers: Any, path: str) -> Iterator[Place]:
    """Every place of the command line below a set of sub-parsers."""
    words = tuple((action.dest, _short(action.help)) for action in parsers._choices_actions)
    yield Place(path, words, _HELP if path else _MAIN, ())
    for name, parser in parsers.choices.items():
        inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if inner:
            yield from read_places(inner[0], f"{path} {name}")
        else:
            yield _place(parser, f"{path} {name}")


def _place(parser: argparse.ArgumentParser, path: str) -> Place:
    options: list[Option] = []
    choices: tuple[str, ...] = ()
    for action in parser._actions:
        values = tuple(map(str, action.choices or ()))
        if not action.option_strings:
            choices = values or choices
            continue
        metavar = str(action.metavar or "")
        options.append(
            Option(
                names=tuple(action.option_strings),
                about=_short(action.help),
                takes=action.nargs != 0,
                choices=values,
                is_file=any(name in metavar for name in FILE_NAMES),
            )
        )
    return Place(path, (), tuple(options), choices)


def _short(text: str | None) -> str:
    return " ".join((text or "").replace("%%", "%").split())[:MAX_HELP_CHARACTERS]


_HELP = (Option(("-h", "--help"), "show help", takes=False, choices=(), is_file=False),)
_MAIN = (*_HELP, Option(("--version",), "show the version", takes=False, choices=(), is_file=False))


def _each_value(places: list[Place]) -> Iterator[tuple[str, Option]]:
    """Options that take a value, with the place they belong to."""
    return ((place.path, option) for place in places for option in place.options if option.takes)


def _following(place: Place) -> list[str]:
    return [word for word, _ in place.words] + [
        *place.choices,
        *(name for each in place.options for name in each.names),
    ]


def _patterns(places: list[Place]) -> str:
    """The paths as patterns of a case."""
    return " | ".join(shlex.quote(place.path) for place in places if place.path)


def bash(places: list[Place]) -> str:
    """For bash: a function, and ``complete``."""
    values = []
    for path, option in _each_value(places):
        cases = " | ".join(shlex.quote(f"{path}:{name}") for name in option.names)
        if option.choices:
            action = f'COMPREPLY=($(compgen -W {shlex.quote(" ".join(option.choices))} -- "$current"))'
        elif option.is_file:
            action = 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$current"))'
        else:
            action = "compopt +o default"
        values.append(f"    {cases}) {action}; return ;;")
    words = [f"    {shlex.quote(place.path)}) words={shlex.quote(' '.join(_following(place)))} ;;" for place in places]
    return f"""\
# Made by 'wallet-guard completion bash'.
_wallet_guard() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} place='' words='' at
  COMPREPLY=()
  for ((at = 1; at < COMP_CWORD; at++)); do
    case "$place ${{COMP_WORDS[at]}}" in
    {_patterns(places)}) place="$place ${{COMP_WORDS[at]}}" ;;
    esac
  done
  case "$place:${{COMP_WORDS[COMP_CWORD - 1]}}" in
{chr(10).join(values)}
  esac
  case "$place" in
{chr(10).join(words)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _wallet_guard wallet-guard
"""


def zsh(places: list[Place]) -> str:
    """For zsh: a function for its completion system, in a file of ``fpath`` or evaluated."""
    values = []
    for path, option in _each_value(places):
        cases = "|".join(shlex.quote(f"{path}:{name}") for name in option.names)
        action = f"compadd -- {shlex.join(option.choices)}" if option.choices else "_files" if option.is_file else ":"
        values.append(f"  ({cases}) {action}; return ;;")
    words = []
    for place in places:
        found = [*place.words, *((choice, "") for choice in place.choices)]
        found += [(name, option.about) for option in place.options for name in option.names]
        shown = " ".join(shlex.quote(f"{name}:{about}" if about else name) for name, about in found)
        words.append(f"  ({shlex.quote(place.path)}) found=({shown}) ;;")
    return f"""\
#compdef wallet-guard
# Made by 'wallet-guard completion zsh'.
_wallet_guard() {{
  local place='' word
  local -a found
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case "$place $word" in
    ({_patterns(places).replace(" | ", "|")}) place="$place $word" ;;
    esac
  done
  case "$place:${{words[CURRENT-1]}}" in
{chr(10).join(values)}
  esac
  case "$place" in
{chr(10).join(words)}
  esac
  _describe 'wallet-guard' found || _files
}}
if [[ ${{funcstack[1]-}} == _wallet-guard ]]; then _wallet_guard "$@"; else compdef _wallet_guard wallet-guard; fi
"""


def fish(places: list[Place]) -> str:
    """For fish: a function that knows the place, and one ``complete`` for each word and option."""
    lines = []
    for place in places:
        at = f"complete -c wallet-guard -n {_fish(f'__wallet_guard_at {_fish(place.path)}')}"
        lines += [f"{at} -f -a {_fish(word)} -d {_fish(about)}" for word, about in place.words]
        lines += [f"{at} -f -a {_fish(choice)}" for choice in place.choices]
        for option in place.options:
            names = " ".join(
                f"-l {_fish(name[2:])}" if name.startswith("--") else f"-s {_fish(name[1:])}" for name in option.names
            )
            value = ""
            if option.takes:
                value = (
                    f" -x -a {_fish(' '.join(option.choices))}"
                    if option.choices
                    else " -r -F"
                    if option.is_file
                    else " -x"
                )
            lines.append(f"{at} {names}{value} -d {_fish(option.about)}")
    paths = " ".join(_fish(place.path) for place in places if place.path)
    return f"""\
# Made by 'wallet-guard completion fish'.
function __wallet_guard_at
    set -l place ''
    for word in (commandline -opc)[2..-1]
        if contains -- "$place $word" {paths}
            set place "$place $word"
        end
    end
    test "$place" = "$argv[1]"
end
{chr(10).join(lines)}
"""


def _fish(text: str) -> str:
    """A word in single quotes, in which fish knows two escapes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


SHELLS: dict[str, Callable[[list[Place]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}

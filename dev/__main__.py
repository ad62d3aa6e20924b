"""`python -m dev run|lint|test`: what the Makefile's targets of these names do."""

import sys

from dev.errors import SetupProblem


def main(arguments: list[str]) -> int:
    match arguments:
        case ["run"]:
            from dev.run import Run  # noqa: PLC0415  # each command loads only its own

            return Run()()
        case ["lint"]:
            from dev.gate import lint  # noqa: PLC0415

            return lint()
        case ["test", *given]:
            from dev.gate import test  # noqa: PLC0415

            return test(given)
        case _:
            sys.stderr.write("usage: python -m dev run|lint|test\n")
            return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupProblem as problem:
        sys.exit(f"\n{problem}")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as problem:
        # A full disk, a folder that is not ours: a sentence is more use than a traceback.
        sys.exit(f"\nParley cannot go on: {problem}")

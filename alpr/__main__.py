"""`python -m alpr` is the command `alpr`."""

from alpr.cli.main import main

if __name__ == "__main__":
    main()

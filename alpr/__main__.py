"""`python -m alpr` is the command `alpr`."""

if __name__ == "__main__":  # a process that decodes images imports this file again, and needs no verbs
    from alpr.cli.main import main

    main()

"""A door to `alpr data crops`, with the options that it always had.

--ccpd_dir DIR --categories SUBSET [SUBSET ...] --num_workers N --rectify corners|box --size HEIGHT WIDTH --margin M
--sharp N --output DIR
"""

if __name__ == "__main__":  # a process that decodes images imports this file again, and needs no verbs
    from alpr.cli.doors import door

    door("data crops", __doc__, several=("--categories",))

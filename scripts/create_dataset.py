"""A door to `alpr data ccpd`, with the options that it always had.

--dataset_path DIR --categories SUBSET [SUBSET ...] --num_workers N --verify --names LIST [LIST ...] --output DIR
"""

if __name__ == "__main__":  # a process that decodes images imports this file again, and needs no verbs
    from alpr.cli.doors import door

    door("data ccpd", __doc__, several=("--categories", "--names"))

"""A door to `alpr data ccpd`, with the options that it always had.

--dataset_path DIR --categories SUBSET [SUBSET ...] --num_workers N --verify --names LIST [LIST ...] --output DIR
"""

from alpr.cli.doors import door

if __name__ == "__main__":
    door("data ccpd", __doc__, several=("--categories", "--names"))

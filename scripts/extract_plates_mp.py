"""A door to `alpr data crops`, with the options that it always had.

--ccpd_dir DIR --categories SUBSET [SUBSET ...] --num_workers N --rectify corners|box --size HEIGHT WIDTH --margin M
--sharp N --output DIR
"""

from alpr.cli.doors import door

if __name__ == "__main__":
    door("data crops", __doc__, several=("--categories",))

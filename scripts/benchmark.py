"""A door to `alpr bench`, with the options that it always had.

--images IMAGES --model DIR --repeat N --threads N --reference --reference-size H W --recognisers NAME --rounds N
--output FILE
"""

from alpr.cli.doors import door

if __name__ == "__main__":
    door("bench", __doc__)

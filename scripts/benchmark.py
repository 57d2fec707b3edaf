"""A door to `alpr bench`, with the options that it always had.

--images IMAGES --model DIR --repeat N --threads N --reference --reference-size H W --recognisers NAME --rounds N
--output FILE
"""

if __name__ == "__main__":
    from alpr.cli.doors import door

    door("bench", __doc__)

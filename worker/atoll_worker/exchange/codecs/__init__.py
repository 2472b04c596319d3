"""How a tensor becomes bytes: one encoding a file, each a pure function."""  # noqa: A005 - always imported as exchange.codecs

"""Further built-in models of sfumato: folders of weights in the ecosystem's format, each with its model card.

`sfumato` finds them by their names once this package is installed; `sfumato models` lists them.
"""

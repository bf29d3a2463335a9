"""sfumato generate --region."""

from PIL import Image

from sfumato.picture import read_metadata
from sfumato.recipe import Recipe
from sfumato.region import PredictionMixing, Region


def test_regions_are_masks_or_boxes_with_words(cli, model, home):
    Image.new("L", (8, 8), 255).save("hat.png")
    asked = ("generate", "a boat", "--model", model, "--steps", 2, "--seed", 1, "-o", "new.png")
    said = ("--region", "hat.png,weight=0.5:a (red:1.2) hat", "--region", "0,0,0.5,1:a house")
    done = cli(*asked, *said, "--regional", "mixing")
    assert done.status == 0, done.err
    recipe = Recipe.from_json(read_metadata("new.png")["recipe"])
    hat, house = Region("a (red:1.2) hat", "hat.png", weight=0.5), Region("a house", box=(0, 0, 0.5, 1))
    assert (recipe.regions, recipe.regional) == ((hat, house), PredictionMixing())
    assert cli("redo", "new.png", "-o", "again.png").status == 0
    refused = cli(*asked, "--region", "hats.png:a hat")
    assert refused.status != 0
    assert "is not WHERE:PROMPT" in refused.err
    assert "was not trained on maps of classes" in cli(*asked, "--layout", "hat.png").err

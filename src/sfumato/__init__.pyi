from . import adapt as adapt
from . import bound as bound
from . import cli as cli
from . import condition as condition
from . import data as data
from . import denoise as denoise
from . import edit as edit
from . import element as element
from . import encode as encode
from . import evaluate as evaluate
from . import extend as extend
from . import formats as formats
from . import gaussian as gaussian
from . import guide as guide
from . import lazy as lazy
from . import model as model
from . import network as network
from . import noise as noise
from . import picture as picture
from . import predict as predict
from . import process as process
from . import progress as progress
from . import provenance as provenance
from . import recipe as recipe
from . import region as region
from . import sample as sample
from . import schedule as schedule
from . import space as space
from . import stage as stage
from . import study as study
from . import times as times
from . import train as train
from . import zoo as zoo
from ._version import __version__ as __version__
from .adapt import *
from .edit import *
from .extend import register as register
from .guide import *
from .model import Pipe as Pipe
from .model import Result as Result
from .model import load as load
from .picture import BadInput as BadInput
from .recipe import Recipe as Recipe
from .recipe import StageOptions as StageOptions
from .region import *
from .sample import *
from .times import *

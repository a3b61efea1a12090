"""`demo`: a page to try models on."""

from keras_attn.errors import InputError

HELP = "Opens a page on this machine to try models on: outputs, attention, and the choice of each token."
EXAMPLES = """\
  %(prog)s                                    the model of dates that comes with the package
  %(prog)s --model runs/dates --port 8000
"""


def add_options(command):
    command.add_argument(
        "--model",
        dest="models",
        metavar="FOLDER",
        action="append",
        help="folder of a training run; repeatable, to choose from (default: dates, which comes with the package)",
    )
    command.add_argument("--host", metavar="NAME", default="127.0.0.1", help="address to serve (default: 127.0.0.1)")
    command.add_argument("--port", type=int, metavar="N", default=7860, help="port to serve (default: 7860)")
    command.add_argument("--open", action="store_true", help="open it in a browser")


def run(options):
    if not 0 < options.port < 65_536:
        raise InputError(f"--port is {options.port}, but it must be from 1 to 65535.")
    import matplotlib

    matplotlib.use("Agg")  # figures go to the page, from threads that have no window
    from keras_attn.demo import build_demo

    page = build_demo(options.models or ["dates"])
    try:
        page.launch(
            server_name=options.host,
            server_port=options.port,
            inbrowser=options.open,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise InputError(f"Port {options.port} of {options.host} cannot be used; choose another --port.") from error
    print(f"http://{options.host}:{options.port} (Ctrl+C ends it)", flush=True)
    page.block_thread()

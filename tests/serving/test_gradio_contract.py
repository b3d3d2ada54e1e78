"""The parts of Gradio that are not documented and that this project uses or replaces.

Each test names the part and what depends on it. A failure after an update of Gradio means that Gradio has changed:
adapt `leuko/serving/gradio/private_parts.py` (or `import_patch.py`), the only places that use these parts.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio import blocks, data_classes, processing_utils, queueing, route_utils, routes, state_holder, utils
from gradio_client import utils as client_utils
from starlette.requests import Request

from leuko.serving.gradio import private_parts
from tests.conftest import ROOT

ADAPT = "Gradio changed; adapt leuko.serving.gradio.private_parts."


@pytest.fixture(scope="module")
def app() -> gr.Blocks:
    with gr.Blocks() as app:
        box = gr.Textbox("default")
        gr.Button().click(lambda text: text, box, box, api_name="echo")
    app.queue()
    return app


@pytest.fixture
def queue() -> queueing.Queue:
    with gr.Blocks() as app:
        gr.Textbox()
    app.queue()
    return app._queue


def test_the_version_is_one_that_these_tests_were_written_for():
    assert gr.__version__.startswith("6.31."), "Another minor version of Gradio: check every test of this file."


def test_only_the_two_modules_use_private_parts():
    """By their imports: everything else imports `gradio` itself and `private_parts`."""
    allowed = {"private_parts.py", "import_patch.py"}
    for file in (ROOT / "leuko").rglob("*.py"):
        imports = re.findall(r"^\s*(?:from|import) (gradio(?:_client)?[.\w]*)", file.read_text("utf-8"), re.M)
        assert file.name in allowed or set(imports) <= {"gradio"}, f"{file} imports {imports}"


def test_the_upload_folder_follows_its_environment_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "new"))
    assert utils.get_upload_folder() == str(tmp_path / "new"), f"{ADAPT} upload_folder"
    assert private_parts.upload_folder() == tmp_path / "new" and (tmp_path / "new").is_dir()


def test_data_addresses_are_saved_in_the_upload_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    parameters = list(inspect.signature(processing_utils.save_base64_to_cache).parameters)
    assert parameters[:2] == ["base64_encoding", "cache_dir"], f"{ADAPT} save_data_url"
    file = Path(private_parts.save_data_url("data:image/png;base64,AAAA", "image-1"))
    assert file.is_relative_to(tmp_path) and file.read_bytes() == b"\0\0\0", f"{ADAPT} save_data_url"


def test_files_within_inputs_are_replaced():
    assert client_utils.is_http_url_like("https://a/b") and not client_utils.is_http_url_like("/a/b"), ADAPT
    inputs = [{"path": "a", "meta": {}}, [{"path": "b"}], "c", {"path": 1}]
    replaced = private_parts.map_files(inputs, lambda file: file["path"])
    assert replaced == ["a", ["b"], "c", {"path": 1}], f"{ADAPT} map_files"


def test_the_inputs_of_a_call_pass_through_preprocess_data():
    """`UploadOnlyBlocks` overrides it; without it, addresses in place of files would be fetched."""
    parameters = list(inspect.signature(blocks.Blocks.preprocess_data).parameters)
    assert parameters[:3] == ["self", "block_fn", "inputs"], f"{ADAPT} UploadOnlyBlocks.preprocess_data"
    assert "await self.preprocess_data(" in inspect.getsource(blocks.Blocks.process_api), ADAPT
    assert {"fn", "inputs"} <= set(inspect.signature(blocks.BlockFunction.__init__).parameters), ADAPT


def test_missing_inputs_have_their_value_on_the_page(app):
    (block_fn,) = app.fns.values()
    assert private_parts.replace_missing_inputs(block_fn, []) == ["default"], f"{ADAPT} replace_missing_inputs"


def test_files_of_the_page_and_of_downloads_are_known(app, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    box = next(block for block in app.blocks.values() if isinstance(block, gr.Textbox))
    assert box.keep_in_cache == set(), f"{ADAPT} page_files"
    box.keep_in_cache.add("page.png")
    assert private_parts.page_files(app) == {"page.png"}
    with app:
        button = gr.DownloadButton()
    written = private_parts.hand_to_retention(button, lambda folder: folder / "model.zip")
    assert any(written in files for files in app.temp_file_sets), f"{ADAPT} hand_to_retention, forget_missing_files"
    private_parts.forget_missing_files(app)
    assert not any(written in files for files in app.temp_file_sets)


def test_the_queue_keeps_calls_and_answers_where_they_are_deleted(queue):
    assert private_parts.waiting_calls(queue) == {} and private_parts.session_calls(queue) == {}, ADAPT
    assert isinstance(queue.pending_event_ids_session, dict), f"{ADAPT} session_calls"
    source = inspect.getsource(queueing)
    for name in ("event_ids_to_events", "pending_event_ids_session", "pending_messages_per_session"):
        assert f"self.{name}" in source, f"{ADAPT} {name} is gone: waiting_calls, session_calls, forget_calls"
    queue.pending_event_ids_session["session"] = {"old", "new"}
    private_parts.forget_calls(queue, "session", {"old"})
    assert queue.pending_event_ids_session == {"session": {"new"}}
    private_parts.forget_calls(queue, "session", {"new"})
    assert queue.pending_event_ids_session == {}


def test_a_waiting_event_holds_the_inputs_of_its_call(app):
    parameters = inspect.signature(queueing.Event.__init__).parameters
    assert "data" in inspect.getsource(queueing.Event), f"{ADAPT} waiting_inputs {list(parameters)}"
    body = data_classes.PredictBodyInternal(data=[{"path": "a"}])
    app._queue.event_ids_to_events["x"] = SimpleNamespace(data=body)
    try:
        assert private_parts.waiting_inputs(app) == [[{"path": "a"}]] and private_parts.is_known_call(app, "x"), ADAPT
    finally:
        app._queue.event_ids_to_events.clear()


def test_a_session_needs_only_two_parts_of_the_blocks(app):
    """`LightStateHolder` gives it nothing else."""
    needed = set(re.findall(r"(?<![\w.])blocks\.(\w+)", inspect.getsource(state_holder.SessionState.__init__)))
    assert needed <= {"default_config", "blocks"}, f"{ADAPT} SessionState also uses {needed}: LightStateHolder"
    holder = private_parts.LightStateHolder()
    holder.set_blocks(app)
    state = holder["session"]
    assert state is holder["session"] and isinstance(state, state_holder.SessionState)
    assert "self.session_data" in inspect.getsource(state_holder.StateHolder.__getitem__), ADAPT


def test_the_app_knows_its_blocks_its_login_and_its_sessions():
    source = inspect.getsource(routes.App)
    for part in ("def get_blocks(", "self.auth", "self.tokens", "self.cookie_id", "self.state_holder"):
        assert part in source, f"{ADAPT} App has no {part}: has_login, is_logged_in, keep_light_sessions"
    for cookie in ("access-token-{app.cookie_id}", "access-token-unsecure-{app.cookie_id}"):
        assert cookie in source, f"{ADAPT} The login's cookie has another name: is_logged_in"
    app = SimpleNamespace(auth={"lab": "secret"}, tokens={"t": "lab"}, cookie_id="1")
    assert private_parts.has_login(app) and private_parts.is_logged_in(app, {"access-token-unsecure-1": "t"})
    assert not private_parts.is_logged_in(app, {"access-token-2": "t"})
    assert private_parts.password_matches(app, "lab", "secret") and not private_parts.password_matches(app, "lab", "x")
    assert not private_parts.password_matches(app, "nobody", "secret")


def test_an_unknown_endpoint_raises_the_error_that_is_answered_with_404(app):
    with pytest.raises(private_parts.UnknownEndpointError):
        route_utils.get_fn(app, "nothing", data_classes.PredictBody(data=[]))


def test_the_address_of_the_app_is_taken_from_the_request():
    scope = {"type": "http", "scheme": "https", "path": "/x/y", "headers": [(b"host", b"example.org")], "server": None}
    scope |= {"query_string": b"", "root_path": "", "method": "GET"}
    assert private_parts.root_url(Request(scope), "/x/y", "") == "https://example.org", f"{ADAPT} root_url"


def test_uploads_are_described_as_the_components_expect():
    for model in (data_classes.FileData, data_classes.ImageData):
        assert {"path", "url", "orig_name", "meta"} <= set(model.model_fields), f"{ADAPT} {model}: Upload.of"
    files = data_classes.ListFiles(root=[data_classes.FileData(path="a")])
    assert [file.path for file in files] == ["a"], f"{ADAPT} ListFiles: SmearFiles"
    for component in (gr.Image, gr.File):
        assert "payload" in inspect.signature(component.preprocess).parameters, f"{ADAPT} {component}.preprocess"


def test_gradio_still_writes_stubs_while_it_is_imported():
    """`import_patch` skips that; if Gradio stops doing it, the module can go."""
    from gradio import component_meta

    assert hasattr(component_meta, "create_or_modify_pyi"), "leuko.serving.gradio.import_patch is not needed any more."


def test_the_closed_paths_are_paths_of_gradio():
    """What is closed must still be called so, or it would be open under another name."""
    source = inspect.getsource(routes)
    for path in ("/proxy=", "/deep_link", "/process_recording", "/component_server", "/run-history", "/monitoring"):
        assert path in source, (
            f"Gradio has no {path} any more: look for its new name, and adapt middleware.CLOSED_PATHS."
        )

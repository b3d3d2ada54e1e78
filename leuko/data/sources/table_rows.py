"""Build the rows of a data set from tables that name its images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from leuko.data.errors import DataError
from leuko.data.labels.filename_conventions import name_key, natural_sort_key, parse_file_name, printable, shortlist
from leuko.data.sources.columns import IMAGES, PARTS, choose_group, choose_label, columns_named_like, is_group
from leuko.data.sources.file_walk import FileTree
from leuko.data.sources.folder_layout import FolderRoles, is_condition, is_fold, is_wrapper, part_of
from leuko.data.sources.image_matching import best_image_column, image_finder, match_images
from leuko.data.sources.tables import Table, read_table

OnMessage = Callable[[str], None]
_NO_LABEL = {"", "nan", "null", "n/a"}


@dataclass(frozen=True)
class Row:
    """One image of a folder.

    Attributes:
        path: path of the image file.
        file: name relative to the folder, or relative to the folder of its split.
        label: class name, in the original spelling.
        group: patient, subject or slide, in the original spelling; None if unknown.
        condition: the magnification, batch or site in its folder names; empty if there is none.
    """

    path: Path
    file: str
    label: str
    group: str | None
    condition: str = ""

    @classmethod
    def of(cls, image: Path, tree: FileTree, place: FolderRoles, label: str, group: str | None) -> Row:
        """The row of an image, with a name relative to the folder of its split (`leuko.data.load` adds the split)."""
        file = image.relative_to(tree.folder).as_posix()
        first, _, rest = file.partition("/")
        selected = rest if place.part and place.part[1] == first else file
        return cls(image, selected, label, group, "/".join(place.condition))


def rows_by_tables(
    tree: FileTree, places: dict[Path, FolderRoles], group_column: str | None, on_message: OnMessage
) -> tuple[dict[str, list[Row]], set[Path]]:
    """Rows by split, for the images that are named in tables.

    Tables in upper folders have precedence. Tables in deeper folders are used only if no class folder is above them.
    `metadata` has precedence over other tables in its folder. A table named like a split (`test_labels.csv`) describes
    the images of that split.

    Args:
        tree: all files.
        places: the folder roles of each image.
        group_column: the column of groups, if the user gives one.
        on_message: receives a line for everything that was chosen or is not used.

    Returns:
        The rows; and all images that the tables cover, including images that they do not name.

    Raises:
        DataError: a table cannot be read, is ambiguous, or does not fit the images.
    """
    rows: dict[str, list[Row]] = {}
    handled: set[Path] = set()
    used: list[Path] = []
    for folder in sorted(
        {path.parent for path in tree.tables}, key=lambda place: (len(place.parts), natural_sort_key(str(place)))
    ):
        inside = [image for image in places if image not in handled and image.is_relative_to(folder)]
        if not inside or (len(inside) < len(places) and not _says_no_class(folder, tree)):
            continue
        usable = [table for path in tree.tables if path.parent == folder and (table := read_table(path)).names_images]
        for table, images, part in _about(usable, inside, places, tree):
            found = _rows(table, images, places, tree, group_column, part, on_message)
            for of_part, selected in found.items():
                rows.setdefault(of_part, []).extend(selected)
            named = {row.path for selected in found.values() for row in selected}
            if left := [image for image in images if image not in named]:
                on_message(
                    f"Not used: {len(left)} images in {printable(tree.folder)} are not named in {table.path.name}: "
                    f"{shortlist(map(tree.name, left))}."
                )
            handled.update(images)
            used.append(table.path)
    if unused := [path for path in tree.tables if path not in used and not _names_patients(path)]:
        on_message(f"Not used: tables that name no images here, or no labels: {shortlist(map(tree.name, unused), 5)}.")
    return rows, handled


def _names_patients(path: Path) -> bool:
    """Whether a table names images and patients; such a table is used if the classes are folders."""
    columns = read_table(path).columns
    return bool(columns_named_like(columns, IMAGES)) and any(map(is_group, columns))


def _says_no_class(folder: Path, tree: FileTree) -> bool:
    return all(
        part_of(name) or is_wrapper(name) or is_condition(name) or is_fold(name)
        for name in folder.relative_to(tree.folder).parts
    )


def _about(
    tables: list[Table], inside: list[Path], places: dict[Path, FolderRoles], tree: FileTree
) -> Iterable[tuple[Table, list[Path], str | None]]:
    """The used tables of a folder, each with the images that it covers and the split in its name (or None)."""
    fitting = [table for table in tables if best_image_column(table, inside, tree)[1]]
    if not fitting and tables and not all(places[image].rest for image in inside):
        fitting = tables[:1]  # so that an error message names the missing images
    parts = {table.path: part_of(table.path.stem) for table in fitting}
    if metadata := [table for table in fitting if table.path.stem.lower() == "metadata"]:
        fitting = metadata
    elif len(fitting) > 1 and (len(set(parts.values())) < len(fitting) or None in parts.values()):
        raise DataError(
            f"Several tables name images and labels ({', '.join(table.path.name for table in fitting)}); keep one, or "
            "call it metadata.csv."
        )
    for table in fitting:
        part = parts[table.path]
        selected = [image for image in inside if part and (at := places[image].part) and at[0] == part]
        # In C-NMC, the labels of the preliminary test set are named like its folder; the final test set has no labels.
        name = name_key(table.path.stem)
        selected = [
            image for image in selected if (at := places[image].part) and name.startswith(name_key(at[1]))
        ] or selected
        if selected:
            yield table, selected, None
        elif len(fitting) > 1:
            yield table, best_image_column(table, inside, tree)[2], part
        else:
            yield table, inside, None


def _rows(
    table: Table,
    images: list[Path],
    places: dict[Path, FolderRoles],
    tree: FileTree,
    group_column: str | None,
    part: str | None,
    on_message: OnMessage,
) -> dict[str, list[Row]]:
    """The rows of the images that a table names, by split; `part`, if given, is the split of all rows."""
    where = table.path.name
    image_column, _, _ = best_image_column(table, images, tree)
    label_column, messages = choose_label({c: of for c, of in table.columns.items() if c != image_column}, where)
    if len(candidates := columns_named_like(table.columns, IMAGES)) > 1:
        messages.append(
            f"{where}: images are taken from the column {image_column} ({', '.join(candidates)} could be it)."
        )
    if label_column is None:
        raise DataError(f"{where} has no column of labels beside {image_column}; call it 'label'.")
    taken = {image_column, label_column, *(columns_named_like(table.columns, PARTS) if table.parts else ())}
    others = {name: values for name, values in table.columns.items() if name not in taken}
    labels = table.columns[label_column]
    group_of, more = choose_group(others, group_column, where, labels)
    for line in (*messages, *more):
        on_message(line)
    files = match_images(table, table.columns[image_column], images, tree)
    if empty := [
        name for name, label in zip(table.columns[image_column], labels, strict=True) if label.lower() in _NO_LABEL
    ]:
        raise DataError(
            f"{where} gives no label for {shortlist(empty)} ({len(empty)} in all); label them or leave them out."
        )
    original = _original_names(table)
    labels = _by_original_names(labels, original, where, on_message)
    groups = table.columns[group_of] if group_of else None
    rows: dict[str, list[Row]] = {}
    for number, image in enumerate(files):
        info = parse_file_name(original[number] if original else image.name)
        group = groups[number] if groups else info.group if info else None
        place = places[image]
        of_part = table.parts[number] if table.parts else part or (place.part[0] if place.part else "train")
        rows.setdefault(of_part, []).append(Row.of(image, tree, place, labels[number], group))
    return rows


def groups_by_tables(
    tree: FileTree, places: dict[Path, FolderRoles], group_column: str | None, on_message: OnMessage
) -> tuple[dict[Path, str], bool]:
    """Patients of images from tables that name images and patients but no labels; and whether such a table exists.

    Raises:
        DataError: a table cannot be read, or names an image for two patients.
    """
    groups: dict[Path, str] = {}
    found = False
    for path in tree.tables:
        table = read_table(path)
        inside = [image for image in places if image.is_relative_to(path.parent)]
        if not inside or table.names_images or not columns_named_like(table.columns, IMAGES):
            continue
        image_column, matching, _ = best_image_column(table, inside, tree)
        others = {name: values for name, values in table.columns.items() if name != image_column}
        column, messages = choose_group(others, group_column, path.name) if matching else (None, [])
        if column is None:
            continue
        found = True
        for line in messages:
            on_message(line)
        find = image_finder(table, inside, tree)
        for value, group in zip(table.columns[image_column], others[column], strict=True):
            for image in find(value) if len(find(value)) == 1 else ():
                if groups.setdefault(image, group) != group:
                    raise DataError(f"{path.name} names {value} for two patients ({groups[image]}, {group}).")
        if without := [image for image in inside if image not in groups]:
            on_message(f"{path.name} names no patient for {len(without)} images: {shortlist(map(tree.name, without))}.")
    return groups, found


def _original_names(table: Table) -> list[str] | None:
    """The values of a column of file names that contain class and subject, as in C-NMC's preliminary test set."""
    for values in table.columns.values():
        if values and all((info := parse_file_name(value)) and info.group for value in values):
            return values
    return None


def _by_original_names(labels: list[str], original: list[str] | None, where: str, on_message: OnMessage) -> list[str]:
    """Replace labels that are only numbers by the classes in the original file names.

    Raises:
        DataError: one number stands for several classes in the file names.
    """
    if original is None or not all(label.isdecimal() for label in labels):
        return labels
    named = [name.label for value in original if (name := parse_file_name(value))]
    meaning = dict(zip(labels, named, strict=True))
    for label, class_name, value in zip(labels, named, original, strict=True):
        if meaning[label] != class_name:
            raise DataError(f"{where} gives {value} the label {label}, which other lines give to {meaning[label]}.")
    meanings = ", ".join(f"{label} is {class_name}" for label, class_name in sorted(meaning.items()))
    on_message(f"{where}: what the labels mean is taken from the original file names: {meanings}.")
    return named

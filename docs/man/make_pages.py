#!/usr/bin/env python3
"""Fills in the parameters of the manual pages.

usage: make_pages.py TOP PARAMETERS FOLDER PAGE...

Each PAGE (NAME.SECTION) becomes FOLDER/manSECTION/PAGE.

PARAMETERS is what list_parameters prints.  Two comment lines of a page are replaced:

    .\\" @parameters FILE|FOLDER|NAME...   those that these sources name, and these
    .\\" @all-parameters                   all of them, by area

A program's parameters are the string literals in its sources that are known names, so
no list is kept by hand.  Help comes from the declaration, Param<T>{this, "name", ...}.
"""
import pathlib
import re
import sys

LITERAL = re.compile(r'"((?:\\.|[^"\\])*)"')
UNITS = {'s': 'seconds', 'm': 'minutes', 'h': 'hours', 'd': 'days', 'w': 'weeks'}
NOTES = {'accepted, no effect needed': 'Accepted; it needs no effect here.',
         'known, not implemented yet': 'Known, without effect so far: setting it gives a warning.',
         'own': 'Bulkhead only.'}


class Parameter:
    def __init__(self, fields):
        self.name, self.default, self.type, self.area, self.origin, self.status, self.help = fields


def read_parameters(path):
    rows = [line.split('\t') for line in pathlib.Path(path).read_text().splitlines()]
    return {row[0]: Parameter(row) for row in rows}


def sources(top, word):
    path = top / word
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.suffix in ('.cc', '.h'))
    return [path]


def quoted(text):
    """One argument of a macro, taken literally."""
    text = text.replace('\\', '\\e').replace('"', '""')
    return '"\\&' + text + '"'


def escaped(text):
    """A line of text."""
    text = text.replace('\\', '\\e')
    return '\\&' + text if text[:1] in (".", "'") else text


# What the machine or the installation says.
COMPUTED = {'myhostname': 'the name of the machine', 'mydomain': 'myhostname without its first part',
            'mynetworks': 'after mynetworks_style'}


def type_text(kind):
    kind = kind.replace(' (expression allowed)', '')
    bounds = re.search(r'\[(-?\d+)\.\.(-?\d*)\]', kind)
    limits = ''
    if bounds:
        low, high = bounds.groups()
        limits = f', {low} to {high}' if high else f', at least {low}' if int(low) > 0 else ''
        kind = kind[:bounds.start()].strip()
    unit = re.search(r'unit=(\w)', kind)
    if unit:
        kind = f'time in {UNITS[unit.group(1)]}'
    kind = {'bool': 'yes or no', 'int': 'number', 'int64': 'number', 'legacy': 'older name',
            'level': 'level'}.get(kind, kind)
    return kind + limits


def entry(parameter):
    """An item of a .Bl -tag list."""
    lines = [f'.It Va {quoted(parameter.name)}']
    if parameter.name in COMPUTED:
        lines.append(escaped(f'({type_text(parameter.type)}; default: {COMPUTED[parameter.name]})'))
    elif parameter.default == '(installation)':
        lines.append(escaped(f'({type_text(parameter.type)}; default: where this installation lies)'))
    elif parameter.default:
        lines += [escaped(f'({type_text(parameter.type)}; default:'), f'.Ql {quoted(parameter.default)} )']
    else:
        lines.append(escaped(f'({type_text(parameter.type)}; default: empty)'))
    text = parameter.help
    lines += ['.br', escaped(text if text.endswith('.') else text + '.')]
    lines += [NOTES[word] for word in (parameter.status, parameter.origin) if word in NOTES]
    return lines


def list_of(parameters):
    lines = ['.Bl -tag -width Ds']
    for parameter in sorted(parameters, key=lambda p: p.name):
        lines += entry(parameter)
    return lines + ['.El']


def named_by(top, words, known):
    names = set()
    for word in words:
        if word in known:
            names.add(word)
            continue
        for file in sources(top, word):
            names.update(n for n in LITERAL.findall(file.read_text(errors='replace')) if n in known)
    return [known[name] for name in names]


def by_area(known):
    areas = {}
    for parameter in known.values():
        areas.setdefault(parameter.area, []).append(parameter)
    last = ('legacy', 'later')
    lines = []
    for area in sorted(areas, key=lambda a: (a in last, a.lower())):
        title = {'legacy': 'older names', 'later': 'names of newer releases'}.get(area, area)
        lines += [f'.Ss {quoted(title[0].upper() + title[1:])}'] + list_of(areas[area])
    return lines


def finished(top, known, text):
    out = []
    for line in text.splitlines():
        if line.startswith('.\\" @parameters '):
            out += list_of(named_by(top, line.split()[2:], known))
        elif line == '.\\" @all-parameters':
            out += by_area(known)
        else:
            out.append(line)
    return '\n'.join(out) + '\n'


def main(top, parameters, folder, *pages):
    top, known = pathlib.Path(top), read_parameters(parameters)
    for page in map(pathlib.Path, pages):
        made = pathlib.Path(folder, 'man' + page.suffix[1:], page.name)
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(finished(top, known, page.read_text()))


if __name__ == '__main__':
    main(*sys.argv[1:])

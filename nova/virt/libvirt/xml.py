"""Libvirt documents as declared elements: the Python shape is the XML shape."""

from typing import Any
from xml.etree import ElementTree

Element = ElementTree.Element

#: nova's own words in a domain's metadata, under the name that monitoring tools look for
NOVA = 'http://openstack.org/xmlns/libvirt/nova/1.1'
ElementTree.register_namespace('nova', NOVA)


def el(tag: str, *children: Any, **attributes: Any) -> Element:
    """An element; ``None`` children and attributes are left out, other values become text.

    A trailing underscore lets an attribute be named ``type_`` or ``class_``.
    """
    given = {key.rstrip('_'): str(value) for key, value in attributes.items() if value is not None}
    node = Element(tag, given)
    for child in children:
        if isinstance(child, Element):
            node.append(child)
        elif child is not None:
            node.text = str(child)
    return node


def text(node: Element) -> str:
    """The document, indented."""
    ElementTree.indent(node)
    return ElementTree.tostring(node, encoding='unicode') + '\n'


def parse(document: str) -> Element:
    """A document that libvirt wrote."""
    return ElementTree.fromstring(document)      # noqa: S314 -- libvirtd is trusted

"""Many objects in one request: archives unpacked, names deleted."""

import gzip
import io
import json
import tarfile

import pytest

from swift.conf import options
from swift.http import Response
from swift.middleware.bulk import OPTIONS, Bulk, archive
from tests.swift_store import Store


class Cloud:
    """The filter in front of a store."""

    def __init__(self, **conf):
        self.store = Store()
        self.app = Bulk(self.store, options({'swift_dir': '/nonexistent', 'yield_frequency': '5', **conf}, OPTIONS))

    def ask(self, *args, **more):
        return self.store.ask(*args, app=self.app, **more)

    def extract(self, body, kind='tar', path='/v1/a', headers=None, **more):
        answer = self.ask('PUT', f'{path}?extract-archive={kind}', {'Accept': 'application/json', **(headers or {})},
                          body, **more)
        assert answer.status == 200
        return json.loads(answer.body)

    def delete(self, body, **headers):
        answer = self.ask('POST', '/v1/a?bulk-delete', {'Accept': 'application/json', **headers}, body)
        assert answer.status == 200
        return json.loads(answer.body)

    def names(self, account='a'):
        return sorted(f'{container}/{name}' for container, each in self.store.accounts.get(account, {}).items()
                      for name in each.objects)


@pytest.fixture
def cloud():
    return Cloud()


def tar(*files, mode='w', **more):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, **more) as made:
        for name, data, *pax in files:
            member = tarfile.TarInfo(name)
            if data is None:
                member.type = tarfile.DIRTYPE
            member.size = len(data or b'')
            member.pax_headers = pax[0] if pax else {}
            made.addfile(member, io.BytesIO(data or b''))
    return stream.getvalue()


TAR = tar(('c1/o1', b'one'), ('c1/d/o2', b'two'), ('c2/', None), ('top', b'x'), ('./c3/o', b'y'), ('/abs/ü', b'z'))


def test_an_archive_becomes_objects_and_the_containers_they_need(cloud):
    assert cloud.extract(TAR) == {'Response Status': '201 Created', 'Response Body': '', 'Number Files Created': 4,
                                  'Errors': []}
    assert cloud.names() == ['abs/ü', 'c1/d/o2', 'c1/o1', 'c3/o']
    assert cloud.store.thing('/v1/a/c1/d/o2').data == b'two'


@pytest.mark.parametrize('kind, mode', [('tar.gz', 'w:gz'), ('tar.bz2', 'w:bz2'), ('.tar.gz', 'w:gz')])
def test_an_archive_may_be_compressed(cloud, kind, mode):
    data = bytes(range(256)) * 2000
    assert cloud.extract(tar(('c/o', data), ('c/p', b'p'), mode=mode), kind)['Number Files Created'] == 2
    assert cloud.store.thing('/v1/a/c/o').data == data


def test_gzip_files_may_follow_each_other(cloud):
    whole = tar(('c/o', b'x' * 5000))
    assert cloud.extract(gzip.compress(whole[:700]) + gzip.compress(whole[700:]), 'tar.gz')['Errors'] == []
    assert cloud.store.thing('/v1/a/c/o').data == b'x' * 5000


def test_names_go_below_the_path(cloud):
    cloud.extract(tar(('a/o', b'1'), ('top', b'2')), path='/v1/a/up/pre')
    assert cloud.names() == ['up/pre/a/o', 'up/pre/top']


def test_extended_attributes_are_metadata(cloud):
    cloud.extract(tar(('c/o', b'1', {'SCHILY.xattr.user.mime_type': 'x/y', 'SCHILY.xattr.user.meta.Color': 'rot',
                                     'SCHILY.xattr.user.meta.Bad': 'a\r\nX-Evil: 1',
                                     'LIBARCHIVE.xattr.user.meta.q': 'IQ==', 'SCHILY.xattr.security.x': 'y'})),
                  headers={'X-Object-Meta-All': '1'})
    made = cloud.store.thing('/v1/a/c/o')
    assert made.kind == 'x/y'
    assert made.headers == {'X-Object-Meta-Color': 'rot', 'X-Object-Meta-Q': 'IQ==', 'X-Object-Meta-All': '1'}


@pytest.mark.parametrize('kind, body, said', [
    ('tar', b'garbage', 'Invalid Tar File: truncated header'), ('tar', b'', 'Invalid Tar File: empty file'),
    ('tar.gz', b'garbage', 'Invalid Tar File: not a gzip file'),
    ('tar.bz2', b'garbage' * 9, 'Invalid Tar File: not a bzip2 file'),
    ('tar', TAR[:600], 'Invalid Tar File: unexpected end of data'),
    ('tar', b'\0' * 10240, 'Invalid Tar File: No Valid Files'),
    ('tar', b'x' * 10240, 'Invalid Tar File: invalid header'),
    ('tar', tar(('top', b'1')), 'Invalid Tar File: No Valid Files'),
])
def test_what_is_no_archive_is_said_to_be_none(cloud, kind, body, said):
    outcome = cloud.extract(body, kind)
    assert (outcome['Response Status'], outcome['Response Body'].split(':')[:2]) == \
        ('400 Bad Request', said.split(':')[:2])


@pytest.mark.parametrize('kind', ['', 'zip', 'tar.xz', 'tar.gz.gz'])
def test_other_formats_are_not_taken(cloud, kind):
    answer = cloud.ask('PUT', f'/v1/a?extract-archive={kind}', {}, TAR)
    assert (answer.status, answer.body) == (400, b'Unsupported archive format')


def test_a_long_header_is_not_read_into_memory(cloud):
    member = tarfile.TarInfo('c/o')
    member.type, member.size = tarfile.XHDTYPE, archive.MAX_HEADER + 1
    bomb = gzip.compress(member.tobuf() + b'\0' * (archive.MAX_HEADER + 512))
    assert cloud.extract(bomb, 'tar.gz')['Response Body'] == 'Invalid Tar File: a header is too long'
    member.type = tarfile.GNUTYPE_LONGNAME
    assert 'too long' in cloud.extract(member.tobuf(tarfile.GNU_FORMAT))['Response Body']


def test_a_sparse_file_is_refused(cloud):
    sparse = tar(('c/o', b'x', {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': 'x',
                                'GNU.sparse.realsize': '999999999'}))
    assert 'sparse' in cloud.extract(sparse)['Response Body']


def test_a_bomb_stops_growing(cloud, monkeypatch):
    monkeypatch.setattr(archive, 'FREE', 1024 * 1024)
    outcome = cloud.extract(gzip.compress(tar(('c/o', bytes(8 * 1024 * 1024)))), 'tar.gz')
    assert outcome['Response Status'].startswith(('400', '502'))
    assert not cloud.names()


def test_hostile_names_are_errors_of_their_own(cloud):
    outcome = cloud.extract(tar(('c/' + 'n' * 1100, b'1'), ('c/bad\udcff', b'2'), ('../../x', b'3'), ('c/ok', b'4')))
    assert [status for _, status in outcome['Errors']] == ['400 Bad Request', '412 Precondition Failed']
    assert outcome['Response Status'] == '400 Bad Request'
    # two dots are a name like any other: nothing is outside of a container
    assert cloud.names() == ['../../x', 'c/ok']


def test_links_and_devices_are_left_out(cloud):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as made:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo('c/x')
            member.type, member.linkname = kind, '/etc/passwd'
            made.addfile(member)
    assert cloud.extract(stream.getvalue())['Number Files Created'] == 0


def test_what_fails_is_named_and_the_rest_goes_on(cloud):
    cloud.store.failing['PUT', '/v1/a/c1/o1'] = 403
    outcome = cloud.extract(TAR)
    assert outcome['Errors'] == [['c1/o1', '403 Forbidden']]
    assert outcome['Number Files Created'] == 3
    cloud.store.failing['PUT', '/v1/a/c1/o1'] = 503
    assert cloud.extract(TAR)['Response Status'] == '502 Bad Gateway'


def test_nobody_goes_on_unauthorised(cloud):
    outcome = cloud.extract(TAR, **{'swift.authorize': lambda request: Response(401)})
    assert outcome['Response Status'] == '401 Unauthorized'
    assert not cloud.names()


def test_failures_have_an_end():
    cloud = Cloud(max_failed_extractions='2')
    outcome = cloud.extract(TAR, **{'swift.authorize': lambda request: Response(403)})
    assert len(outcome['Errors']) == 2
    assert Cloud(max_containers_per_extraction='1').extract(TAR)['Response Status'] == '400 Bad Request'


def test_names_are_deleted_and_counted(cloud):
    cloud.extract(TAR)
    assert cloud.delete(b'/c1/o1\nabs/%C3%BC\n\n/c1/none\n/none/x') == {
        'Response Status': '200 OK', 'Response Body': '', 'Number Deleted': 2, 'Number Not Found': 2, 'Errors': []}
    assert cloud.names() == ['c1/d/o2', 'c3/o']


def test_containers_go_after_their_objects(cloud):
    cloud.extract(TAR)
    assert cloud.delete(b'/c3\n/c3/o\n')['Number Deleted'] == 2
    outcome = cloud.delete(b'/c1')
    assert (outcome['Errors'], outcome['Response Status']) == ([['/c1', '409 Conflict']], '400 Bad Request')


def test_a_container_is_tried_again(cloud):
    cloud = Cloud(delete_container_retry_count='2')
    cloud.extract(TAR)
    cloud.app._deleting = type(cloud.app._deleting)(container_retries=2, retry_interval=0.001)
    cloud.store.asked.clear()
    cloud.delete(b'/c1')
    assert len(cloud.store.asked) == 3


@pytest.mark.parametrize('body, status, said', [
    (b'', '400 Bad Request', 'Invalid bulk delete.'),
    (b'\n\n', '400 Bad Request', 'Invalid bulk delete.'),
    (b'/' + b'a' * 5000, '400 Bad Request', 'Invalid File Name'),
    (b'a/b\n' * 10001, '413 Request Entity Too Large', 'Maximum Bulk Deletes: 10000 per request'),
])
def test_a_list_that_is_none_deletes_nothing(cloud, body, status, said):
    cloud.extract(TAR)
    outcome = cloud.delete(body)
    assert (outcome['Response Status'], outcome['Response Body']) == (status, said)
    assert len(cloud.names()) == 4


def test_hostile_lines_are_errors_of_their_own(cloud):
    outcome = cloud.delete(b'/\n%ff/x\n/a/%00\n')
    assert sorted(outcome['Errors']) == [['%ff/x', '412 Precondition Failed'], ['/', '403 Forbidden'],
                                         ['/a/%00', '412 Precondition Failed']]


def test_a_list_may_come_in_chunks(cloud):
    cloud.extract(TAR)
    answer = cloud.ask('DELETE', '/v1/a?bulk-delete', {'Transfer-Encoding': 'chunked', 'Content-Length': None},
                       b'/c3/o')
    assert b'Number Deleted: 1' in answer.body
    assert cloud.ask('POST', '/v1/a?bulk-delete', {'Content-Length': None}).body.count(b'411 Length Required') == 1


def test_a_report_nobody_can_read_is_not_made(cloud):
    cloud.extract(TAR)
    answer = cloud.ask('POST', '/v1/a?bulk-delete', {'Accept': 'image/png'}, b'/c3/o')
    assert b'406 Not Acceptable' in answer.body
    assert len(cloud.names()) == 4


def test_other_requests_pass_through(cloud):
    cloud.ask('PUT', '/v1/a/c')
    assert cloud.ask('PUT', '/v1/a/c/o?x=bulk-delete', {}, b'1').status == 201
    assert cloud.ask('GET', '/v1/a/c?bulk-delete').status == 200

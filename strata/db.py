"""The database of one service: transactions, column types, compare-and-swap, pages.

A ``Database`` is passed around; none is global.  ``transaction()`` writes,
``reading()`` reads; both yield an SQLAlchemy session, always called ``tx``,
so that the extent of a transaction is visible where it is used.

SQLite blocks the whole process, so a write transaction there is taken under
a green lock and must not switch greenlets: no HTTP, no cast, no tpool inside.
"""

import contextlib
import datetime
import functools
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.attributes import set_committed_value

from strata import clock, errors, green

LOG = logging.getLogger(__name__)
Result = TypeVar('Result')

#: how constraints are called, so that migrations can name them on every database
NAMING = {'ix': 'ix_%(table_name)s_%(column_0_N_name)s', 'uq': 'uq_%(table_name)s_%(column_0_N_name)s',
          'fk': 'fk_%(table_name)s_%(column_0_N_name)s', 'pk': 'pk_%(table_name)s'}

#: an identifier: a UUID, dashed or not
Id = sa.String(64)


class Duplicate(errors.Conflict):
    """A unique constraint refused the row; ``details['constraint']`` is the database's word on it."""

    message = 'The resource exists already.'


class Dangling(errors.Conflict):
    """A foreign key refused: what is referred to is gone, or what goes is still referred to."""

    message = 'The resource refers to another that is gone, or is still referred to.'


class Time(sa.types.TypeDecorator[datetime.datetime]):
    """An aware UTC time to the microsecond, on every database."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        if dialect.name in ('mysql', 'mariadb'):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime(timezone=dialect.name == 'postgresql'))

    def process_bind_param(self, value: datetime.datetime | None, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError('a time without a zone')
        value = value.astimezone(clock.UTC)
        return value if dialect.name == 'postgresql' else value.replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime.datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=clock.UTC) if value.tzinfo is None else value.astimezone(clock.UTC)


class Json(sa.types.TypeDecorator[Any]):
    """Any JSON value, kept as text; ``None`` is SQL's NULL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        if dialect.name in ('mysql', 'mariadb'):
            return dialect.type_descriptor(mysql.LONGTEXT())
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else orjson.dumps(value, default=str).decode()

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else orjson.loads(value)


def metadata() -> sa.MetaData:
    """The metadata of a service's declarative base, with our constraint names."""
    return sa.MetaData(naming_convention=NAMING)


class Database:
    """One service's database.

    ``url`` is an SQLAlchemy URL for SQLite, MySQL/MariaDB or PostgreSQL;
    ``pool`` bounds the connections; ``retries`` bounds ``retried``.
    """

    def __init__(self, url: str, *, pool: int = 20, retries: int = 10,
                 clock: clock.Clock = clock.CLOCK) -> None:
        self.url = sa.engine.make_url(url)
        self.dialect = self.url.get_backend_name()
        self.retries = retries
        self.clock = clock
        self.engine = _engine(self.url, pool)
        self._sessions = {write: sessionmaker(self.engine.execution_options(strata_write=write),
                                              expire_on_commit=False) for write in (True, False)}
        self._writing = green.Semaphore(1) if self.dialect == 'sqlite' else None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Session]:
        """One write transaction: commits on leaving, rolls back on an exception.

        Raises ``errors.Transient`` on deadlock or a lost connection (see
        ``retried``), ``Duplicate`` and ``Dangling`` for broken constraints,
        ``errors.Invalid`` for a value that a column cannot hold,
        ``errors.Unavailable`` if the database cannot be reached.
        """
        with self._lock(), self._session(write=True) as tx:
            yield tx

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """One read-only transaction: a snapshot on SQLite, READ COMMITTED elsewhere."""
        with self._session(write=False) as tx:
            yield tx

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        if self._writing is None:
            yield
        else:
            with self._writing, green.no_switch('an SQLite transaction'):
                yield

    @contextlib.contextmanager
    def _session(self, *, write: bool) -> Iterator[Session]:
        committing = False
        with self._sessions[write]() as tx:
            try:
                tx.connection()
                yield tx
                if write:
                    tx.flush()
                    committing = True
                    tx.commit()
            except exc.DBAPIError as error:
                tx.rollback()
                raise _translated(error, committing) from error
            except exc.TimeoutError as error:
                raise errors.Unavailable(service='The database pool') from error

    def now(self, tx: Session) -> datetime.datetime:
        """The database's clock, the one that leases and heartbeats are judged by."""
        if self.dialect == 'sqlite':
            return self.clock.now()      # the same host by nature
        word = 'clock_timestamp()' if self.dialect == 'postgresql' else 'UTC_TIMESTAMP(6)'
        moment = tx.execute(sa.text(f'SELECT {word}')).scalar_one()
        return moment.astimezone(clock.UTC) if moment.tzinfo else moment.replace(tzinfo=clock.UTC)

    def create_all(self, tables: sa.MetaData) -> None:
        """Make the tables as the models say; for tests.  Production migrates (``strata.migrate``)."""
        tables.create_all(self.engine)

    def dispose(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()

    def after_fork(self) -> None:
        """In a forked child: leave the parent's connections alone, unclosed, for a goodbye would be the parent's."""
        self.engine.dispose(close=False)

    def retried(self, function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        """Call a function that opens whole transactions, again as long as the database asks for it."""
        for attempt in range(self.retries + 1):
            try:
                return function(*args, **kwargs)
            except errors.Transient:
                if attempt == self.retries:
                    raise
                LOG.debug('%s met a deadlock; trying again', function.__qualname__)
                green.sleep(random.uniform(0, 0.01 * 2 ** min(attempt, 6)))
        raise AssertionError('unreachable')


def retried(function: Callable[..., Result]) -> Callable[..., Result]:
    """Decorate a function or method whose first argument has, or is, a ``db``.

    The function must be whole: what it did before the deadlock is rolled back
    and done again.
    """
    @functools.wraps(function)
    def again(first: Any, *args: Any, **kwargs: Any) -> Result:
        database = first if isinstance(first, Database) else first.db
        return database.retried(function, first, *args, **kwargs)
    return again


def _engine(url: sa.URL, pool: int) -> sa.Engine:
    if url.get_backend_name() == 'sqlite':
        if not url.database or url.database == ':memory:':
            raise errors.Invalid('[database] connection: SQLite needs a file, not :memory:')
        engine = sa.create_engine(url, pool_size=pool, max_overflow=0, poolclass=sa.QueuePool,
                                  connect_args={'check_same_thread': False, 'timeout': 10})
        event.listen(engine, 'connect', _prepare_sqlite)
        event.listen(engine, 'begin', _begin_sqlite)
        return engine
    options: dict[str, Any] = {'isolation_level': 'READ COMMITTED', 'pool_size': pool, 'max_overflow': 0,
                               'pool_recycle': 1800, 'pool_timeout': 30, 'pool_use_lifo': True}
    if url.get_backend_name() in ('mysql', 'mariadb'):
        url = url.update_query_dict({'charset': 'utf8mb4'})
        engine = sa.create_engine(url, **options)
        event.listen(engine, 'connect', _prepare_mysql)
        return engine
    return sa.create_engine(url, **options)


def _prepare_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None      # we say BEGIN ourselves
    for pragma in ('journal_mode=WAL', 'synchronous=FULL', 'foreign_keys=ON', 'busy_timeout=10000'):
        connection.execute(f'PRAGMA {pragma}')


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get('strata_write', True)
    connection.exec_driver_sql('BEGIN IMMEDIATE' if write else 'BEGIN')


def _prepare_mysql(connection: Any, record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone='+00:00', collation_connection='utf8mb4_bin', "
                       "sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'")


#: MySQL's error numbers, PostgreSQL's SQLSTATEs and SQLite's words for "try again"
_AGAIN = {1205, 1213, 1020, '40001', '40P01', '55P03'}


def _code(error: exc.DBAPIError) -> object:
    original = error.orig
    return getattr(original, 'sqlstate', None) or (original.args[0] if original and original.args else None)


def _translated(error: exc.DBAPIError, committing: bool) -> Exception:
    """What the caller of a transaction sees in place of the driver's exception."""
    if isinstance(error, exc.IntegrityError):
        text = str(error.orig)
        kind = Dangling if 'foreign key' in text.lower() else Duplicate
        failure = kind()
        failure.details['constraint'] = text
        return failure
    if isinstance(error, exc.DataError):      # checked values do not come to this; a filter or an id may
        return errors.Invalid('A value is too large or too long, or has a character that cannot be kept.')
    if _code(error) in _AGAIN or 'database is locked' in str(error.orig):
        return errors.Transient()
    if error.connection_invalidated:
        # a commit whose answer was lost may have been done: doing it again is not ours to decide
        return errors.Unavailable(service='The database') if committing else errors.Transient()
    if isinstance(error, exc.OperationalError) and error.statement is None:
        return errors.Unavailable(service='The database')
    return error


def swap(tx: Session, row: Any, *, expect: Mapping[str, Any], kind: str | None = None, **values: Any) -> None:
    """Write ``values`` if the row is still as we ``expect`` it, or raise ``errors.Busy``.

    The only way a state changes, so two workers can never both believe that
    they moved a thing on.  The row's primary key must be ``id``.
    """
    if not change(tx, type(row), {'id': row.id, **expect}, values):
        raise errors.Busy(kind=kind or type(row).__name__, id=row.id)
    for name, value in values.items():
        set_committed_value(row, name, value)


def change(tx: Session, model: Any, expect: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    """Write ``values`` to the rows that are as we ``expect`` them; how many those are.

    In ``expect`` ``None`` is NULL, a set, list or tuple is any of its members.  Rows that the session has loaded
    are not touched.
    """
    tx.flush()
    shape = tuple((name, _shape(value)) for name, value in expect.items())
    parameters = {f'to_{name}': value for name, value in values.items()}
    for name, value in expect.items():
        if isinstance(value, _MANY):
            parameters[f'is_{name}'] = [each for each in value if each is not None]
        elif value is not None:
            parameters[f'is_{name}'] = value
    statement = _change(model, shape, tuple(values))
    return int(tx.connection().execute(statement, parameters).rowcount)


_MANY = (set, frozenset, tuple, list)


def _shape(value: Any) -> str:
    if value is None:
        return 'null'
    if isinstance(value, _MANY):
        return 'some or null' if None in value else 'some'
    return 'one'


@functools.lru_cache(1000)
def _change(model: Any, expect: tuple[tuple[str, str], ...], values: tuple[str, ...]) -> sa.Update:
    """The statement of ``change``, made once: making one costs several times what carrying it out does."""
    table = model.__table__
    conditions = []
    for name, shape in expect:
        column = table.c[name]
        if shape == 'null':
            conditions.append(column.is_(None))
        elif shape == 'one':
            conditions.append(column == sa.bindparam(f'is_{name}', type_=column.type))
        else:
            inside = column.in_(sa.bindparam(f'is_{name}', type_=column.type, expanding=True))
            conditions.append(inside | column.is_(None) if shape == 'some or null' else inside)
    return sa.update(table).where(*conditions).values(
        {name: sa.bindparam(f'to_{name}', type_=table.c[name].type) for name in values})


def insert(tx: Session, model: Any, **values: Any) -> bool:
    """Insert a row; ``False`` if a unique constraint refuses it, and the transaction goes on.

    Raises the driver's error, to be translated at the transaction's end, if a foreign key refuses.
    """
    tx.flush()
    connection = tx.connection()
    # one database gives the whole transaction up for a statement that failed
    guard = connection.begin_nested() if connection.dialect.name == 'postgresql' else contextlib.nullcontext()
    try:
        with guard:
            connection.execute(insertion(model), values)
    except exc.IntegrityError as error:
        if 'foreign key' in str(error.orig).lower():
            raise
        return False
    return True


@functools.cache
def insertion(model: Any) -> sa.Insert:
    """The statement that inserts rows of a model, with the columns it is given and the defaults of others."""
    return sa.insert(model.__table__)


def insert_absent(tx: Session, model: Any, **values: Any) -> None:
    """Insert a row unless one of that key is there already; concurrent callers do not fail."""
    dialect = tx.get_bind().dialect.name
    if dialect in ('mysql', 'mariadb'):
        tx.execute(sa.insert(model).prefix_with('IGNORE').values(**values))
    elif dialect == 'postgresql':
        tx.execute(postgresql.insert(model).values(**values).on_conflict_do_nothing())
    else:
        tx.execute(sqlite.insert(model).values(**values).on_conflict_do_nothing())


Sort = tuple[Any, str]


def keyset(query: sa.Select[Any], sorts: Sequence[Sort], *, after: Any = None,
           limit: int | None = None) -> sa.Select[Any]:
    """A page of ``query``: what follows the row ``after`` in the order of ``sorts``.

    ``sorts`` are (column, 'asc' or 'desc'), the last of them unique.  NULLs
    come first when ascending, as in the published services.  No OFFSET: the
    cost of a page does not grow with its number.
    """
    terms = [(term, way) for column, way in sorts for term in _terms(column, way)]
    query = query.order_by(*(term.asc() if way == 'asc' else term.desc() for (term, _), way in terms))
    if after is not None:
        query = query.where(_beyond(terms, after))
    return query if limit is None else query.limit(limit)


def _terms(column: Any, way: str) -> list[tuple[Any, Callable[[Any], Any]]]:
    def value(row: Any) -> Any:
        return getattr(row, column.key)
    if isinstance(column.type, sa.Boolean):      # which no database compares by size in the same way
        return [(sa.case((column.is_(True), 1), else_=0), lambda row: int(bool(value(row))))]
    if not column.nullable:
        return [(column, value)]
    return [(sa.case((column.is_(None), 0), else_=1), lambda row: int(value(row) is not None)), (column, value)]


def _beyond(terms: Sequence[tuple[tuple[Any, Callable[[Any], Any]], str]], row: Any) -> Any:
    alternatives, equal = [], []
    for (term, value), way in terms:
        here = value(row)
        if here is None:      # the NULL flag before it says all there is to say
            continue
        alternatives.append(sa.and_(*equal, term > here if way == 'asc' else term < here))
        equal.append(term == here)
    return sa.or_(*alternatives)

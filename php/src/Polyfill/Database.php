<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use PDO;
use PDOException;
use PDOStatement;
use SseException;
use SseUnavailable;

/**
 * The file that all processes of the site share: SQLite with a write-ahead log, so that who reads waits for nobody.
 *
 * An event's number is its id: milliseconds, and 20 bits for the sequence. It is given inside of the transaction that
 * adds the event, so that numbers appear in their order.
 */
final class Database
{
    private const VERSION = 1;
    private const PAGE = 4096;
    private const SCHEMA = <<<'SQL'
        CREATE TABLE event (
            number INTEGER PRIMARY KEY, topics TEXT NOT NULL, type TEXT, own_id TEXT, retry INTEGER,
            data TEXT, finishes INTEGER NOT NULL, size INTEGER NOT NULL
        );
        CREATE INDEX event_own_id ON event (own_id) WHERE own_id IS NOT NULL;
        CREATE INDEX event_notification ON event (topics, number) WHERE data IS NULL;
        CREATE TABLE retained (
            topic TEXT PRIMARY KEY, number INTEGER NOT NULL, topics TEXT NOT NULL, type TEXT, own_id TEXT,
            retry INTEGER, data TEXT NOT NULL, finishes INTEGER NOT NULL, size INTEGER NOT NULL
        );
        CREATE INDEX retained_number ON retained (number);
        CREATE TABLE finished (
            topic TEXT PRIMARY KEY, number INTEGER NOT NULL, topics TEXT NOT NULL, type TEXT, own_id TEXT,
            retry INTEGER, data TEXT NOT NULL, finishes INTEGER NOT NULL, size INTEGER NOT NULL
        );
        CREATE INDEX finished_number ON finished (number);
        CREATE TABLE publication (key TEXT PRIMARY KEY, id TEXT NOT NULL, until INTEGER NOT NULL);
        CREATE INDEX publication_until ON publication (until);
        CREATE TABLE figure (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
        SQL;

    private readonly PDO $file;
    private readonly int $process;

    public function __construct(Folder $folder, Settings $settings)
    {
        if (!in_array('sqlite', class_exists(PDO::class) ? PDO::getAvailableDrivers() : [], true)) {
            throw new SseUnavailable(
                'neither the extension sse nor pdo_sqlite is there, by which the polyfill works; install one of them',
            );
        }
        $path = $folder->database('events.sqlite');
        $this->process = (int) getmypid();
        try {
            $this->file = new PDO("sqlite:$path", null, null, [
                PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
                PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
            ]);
            $this->file->exec("PRAGMA busy_timeout = {$settings->number('timeout')}");
            $version = $this->version();
            if ($version === 0) {
                // Two processes can't both turn the log on.
                $folder->locked('create', fn () => $this->create($path));
            } elseif ($version !== self::VERSION) {
                throw new SseException("$path is of another version of the polyfill ($version); remove its folder");
            }
            // These hold for this connection only.
            $pages = intdiv($settings->number('polyfill_bytes'), self::PAGE);
            $this->file->exec("PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 4194304; PRAGMA cache_size = -1024");
            $this->file->exec("PRAGMA max_page_count = $pages");
        } catch (PDOException $problem) {
            throw self::unavailable($problem);
        }
    }

    /** A connection of SQLite may not be used by a process that was forked from the one that has made it. */
    public function isOwn(): bool
    {
        return $this->process === getmypid();
    }

    /**
     * @template T
     *
     * @param callable(): T $write
     *
     * @return T
     *
     * @throws SseUnavailable It could not be written.
     */
    public function transaction(callable $write): mixed
    {
        try {
            // What reads first and writes then would fail where another one writes in between.
            $this->file->exec('BEGIN IMMEDIATE');
            try {
                $result = $write();
                $this->file->exec('COMMIT');
            } catch (\Throwable $problem) {
                $this->rollBack();

                throw $problem;
            }

            return $result;
        } catch (PDOException $problem) {
            throw self::unavailable($problem);
        }
    }

    /**
     * Several queries that see the file as it is at one moment.
     *
     * @template T
     *
     * @param callable(): T $read
     *
     * @return T
     */
    public function snapshot(callable $read): mixed
    {
        $this->run('BEGIN');
        try {
            return $read();
        } finally {
            $this->rollBack();
        }
    }

    /** @param array<string|int|null> $values */
    public function run(string $sql, array $values = []): PDOStatement
    {
        try {
            $statement = $this->file->prepare($sql);
            assert($statement instanceof PDOStatement);
            foreach (array_values($values) as $i => $value) {
                $type = match (true) {
                    is_int($value) => PDO::PARAM_INT,
                    $value === null => PDO::PARAM_NULL,
                    default => PDO::PARAM_STR,
                };
                $statement->bindValue($i + 1, $value, $type);
            }
            $statement->execute();

            return $statement;
        } catch (PDOException $problem) {
            throw self::unavailable($problem);
        }
    }

    /**
     * All rows of a query that has a limit.
     *
     * @param array<string|int|null> $values
     *
     * @return list<array<string, mixed>>
     */
    public function rows(string $sql, array $values = []): array
    {
        /** @var list<array<string, mixed>> */
        return $this->run($sql, $values)->fetchAll();
    }

    /** @param array<string|int|null> $values */
    public function number(string $sql, array $values = []): int
    {
        $found = $this->run($sql, $values)->fetchColumn();

        return is_numeric($found) ? (int) $found : 0;
    }

    public function figure(string $name): int
    {
        return $this->number('SELECT value FROM figure WHERE name = ?', [$name]);
    }

    public function setFigure(string $name, int $value): void
    {
        $this->run('INSERT OR REPLACE INTO figure VALUES (?, ?)', [$name, $value]);
    }

    public function addToFigure(string $name, int $more): void
    {
        $this->run(
            'INSERT INTO figure VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value',
            [$name, $more],
        );
    }

    private function version(): int
    {
        return $this->number('PRAGMA user_version');
    }

    private function create(string $path): void
    {
        if ($this->version() !== 0) {
            return;
        }
        $this->file->exec('PRAGMA page_size = ' . self::PAGE);
        $this->file->exec('PRAGMA journal_mode = WAL');
        $this->transaction(function () use ($path): void {
            $this->file->exec(self::SCHEMA);
            // An id from before this file is not known, and its client is told of a gap.
            $now = EventId::now();
            foreach (['last', 'newest', 'forgotten', 'forgotten_notification'] as $name) {
                $this->setFigure($name, $now);
            }
            $this->file->exec('PRAGMA user_version = ' . self::VERSION);
            error_log(
                "php-sse: the extension is not loaded, so the library's polyfill serves streams in PHP's workers, with "
                . "events in $path; see docs/guide/polyfill.md",
            );
        });
    }

    private function rollBack(): void
    {
        try {
            $this->file->exec('ROLLBACK');
        } catch (PDOException) {
            // SQLite has rolled back by itself, as it does where the disk is full: the first error is the one to tell.
        }
    }

    private static function unavailable(PDOException $problem): SseUnavailable
    {
        $why = $problem->getMessage();
        // SQLITE_FULL
        $advice = ($problem->errorInfo[1] ?? null) === 13 ? '; raise sse.polyfill_bytes, or make room on the disk' : '';

        return new SseUnavailable("the polyfill's file can't be used: $why$advice", 0, $problem);
    }
}

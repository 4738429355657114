<?php

declare(strict_types=1);

namespace Demo;

use PDO;
use RuntimeException;

/** The demo's SQLite file, made at the first use. */
final class Database
{
    private static ?PDO $connection = null;

    public static function open(): PDO
    {
        return self::$connection ??= self::connect();
    }

    /** Runs the work as one transaction that may write, and returns what it returns. */
    public static function transaction(callable $work): mixed
    {
        $database = self::open();
        // PDO's own beginTransaction() would take the lock for writing at the first write only.
        $database->exec('BEGIN IMMEDIATE');
        try {
            $result = $work($database);
            $database->exec('COMMIT');
            return $result;
        } catch (\Throwable $e) {
            $database->exec('ROLLBACK');
            throw $e;
        }
    }

    /** @return list<array<string, mixed>> */
    public static function rows(string $sql, mixed ...$values): array
    {
        $statement = self::open()->prepare($sql);
        $statement->execute($values);
        return $statement->fetchAll();
    }

    /** The number of rows that were changed. */
    public static function change(string $sql, mixed ...$values): int
    {
        $statement = self::open()->prepare($sql);
        $statement->execute($values);
        return $statement->rowCount();
    }

    /** Tells this file from one that was there before: the numbers of messages begin anew with each. */
    public static function epoch(): string
    {
        return self::rows('SELECT name FROM epoch')[0]['name'];
    }

    private static function connect(): PDO
    {
        $folder = getenv('SSE_DEMO_DATA');
        if ($folder === false || !is_dir($folder)) {
            throw new RuntimeException('SSE_DEMO_DATA must name the folder of the demo\'s data; php/demo/run sets it');
        }
        $database = new PDO("sqlite:$folder/demo.db", options: [
            PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
            PDO::ATTR_TIMEOUT => 5,
        ]);
        // A commit is with the operating system: it outlives every process, though not a power cut.
        $database->exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
        if ($database->query('PRAGMA user_version')->fetchColumn() === 0) {
            self::create($database);
        }
        return $database;
    }

    private static function create(PDO $database): void
    {
        $database->exec(<<<'SQL'
            BEGIN IMMEDIATE;
            CREATE TABLE IF NOT EXISTS message (
                room TEXT NOT NULL,
                seq INTEGER NOT NULL,
                key TEXT NOT NULL,
                client TEXT NOT NULL,
                sender TEXT NOT NULL,
                text TEXT NOT NULL,
                sent REAL NOT NULL,
                PRIMARY KEY (room, seq),
                UNIQUE (room, key)
            );
            CREATE TABLE IF NOT EXISTS stock (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                item TEXT NOT NULL,
                shelf TEXT NOT NULL,
                quantity INTEGER NOT NULL
            );
            CREATE TABLE IF NOT EXISTS epoch (name TEXT NOT NULL);
            INSERT INTO epoch SELECT lower(hex(randomblob(8))) WHERE NOT EXISTS (SELECT 1 FROM epoch);
            INSERT OR IGNORE INTO stock (id, item, shelf, quantity) VALUES
                (1, 'Coffee beans', 'A1', 24), (2, 'Green tea', 'A2', 41), (3, 'Oat milk', 'B1', 8),
                (4, 'Honey', 'B3', 15), (5, 'Paper cups', 'C2', 320);
            PRAGMA user_version = 1;
            COMMIT;
            SQL);
    }
}

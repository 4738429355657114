<?php

declare(strict_types=1);

namespace App;

use PDO;

/** A resource as API Platform's: JSON-LD, and a row of a database. */
final class Books
{
    private readonly PDO $database;

    public function __construct(string $file)
    {
        $this->database = new PDO("sqlite:$file");
        $this->database->exec('CREATE TABLE IF NOT EXISTS books (id INTEGER PRIMARY KEY, title TEXT NOT NULL)');
        $this->database->exec("INSERT OR IGNORE INTO books VALUES (1, 'Emma'), (2, 'Persuasion')");
    }

    public static function iri(int $id): string
    {
        return "https://example.com/books/$id";
    }

    public function json(int $id): string
    {
        $query = $this->database->prepare('SELECT title FROM books WHERE id = ?');
        $query->execute([$id]);
        $book = ['@context' => '/contexts/Book', '@id' => self::iri($id), '@type' => 'Book', 'title' => $query->fetchColumn()];

        return json_encode($book, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES);
    }

    public function rename(int $id, string $title): void
    {
        $this->database->prepare('UPDATE books SET title = ? WHERE id = ?')->execute([$title, $id]);
    }
}

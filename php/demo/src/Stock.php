<?php

declare(strict_types=1);

namespace Demo;

use SseTrigger;

/** The table `stock`, as a resource with the requests of PHP-CRUD-API: whoever changes a record wakes the topic `records.stock.ID`. */
final class Stock
{
    /** Each column with what it may hold. */
    private const COLUMNS = ['item' => 'text', 'shelf' => 'text', 'quantity' => 'number'];

    /** @return list<array<string, mixed>> */
    public function all(): array
    {
        return Database::rows('SELECT id, item, shelf, quantity FROM stock ORDER BY id');
    }

    /** @return array<string, mixed>|null */
    public function one(int $id): ?array
    {
        return Database::rows('SELECT id, item, shelf, quantity FROM stock WHERE id = ?', $id)[0] ?? null;
    }

    /** @param array<string, mixed> $record */
    public function create(array $record): int
    {
        $values = $this->checked($record) + ['item' => 'New item', 'shelf' => '–', 'quantity' => 0];
        if (count($this->all()) >= 200) {
            Request::refuse(422, 'The table is full: 200 records are enough for a demo.');
        }
        Database::change('INSERT INTO stock (item, shelf, quantity) VALUES (?, ?, ?)', $values['item'], $values['shelf'], $values['quantity']);
        $id = (int) Database::open()->lastInsertId();
        SseTrigger::push("records.stock.$id");
        return $id;
    }

    /** @param array<string, mixed> $record */
    public function update(int $id, array $record): int
    {
        $changed = 0;
        foreach ($this->checked($record) as $column => $value) {
            // The name is one of the table above.
            $changed = Database::change("UPDATE stock SET $column = ? WHERE id = ?", $value, $id);
        }
        SseTrigger::push("records.stock.$id");
        return $changed;
    }

    public function delete(int $id): int
    {
        $changed = Database::change('DELETE FROM stock WHERE id = ?', $id);
        SseTrigger::push("records.stock.$id");
        return $changed;
    }

    /**
     * @param array<string, mixed> $record
     * @return array<string, string|int>
     */
    private function checked(array $record): array
    {
        $values = [];
        foreach ($record as $column => $value) {
            $valid = match (self::COLUMNS[$column] ?? null) {
                'text' => is_string($value) && $value !== '' && strlen($value) <= 200 && preg_match('/^[^\x00-\x1F\x7F]*$/uD', $value) === 1,
                'number' => is_int($value) && $value >= 0 && $value <= 1_000_000,
                null => false,
            };
            if (!$valid) {
                Request::refuse(422, "'$column' is not a column, or can't be that: a text has 1 to 200 bytes, a quantity is 0 to 1000000.");
            }
            $values[$column] = $value;
        }
        return $values;
    }
}

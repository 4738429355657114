<?php

declare(strict_types=1);

namespace Sse\CrudApi;

use Tqdev\PhpCrudApi\Database\GenericDB;
use Tqdev\PhpCrudApi\Middleware\Communication\VariableStore;
use Tqdev\PhpCrudApi\Record\Condition\AndCondition;
use Tqdev\PhpCrudApi\Record\Condition\ColumnCondition;
use Tqdev\PhpCrudApi\Record\Condition\Condition;
use Tqdev\PhpCrudApi\Record\Condition\NoCondition;
use Tqdev\PhpCrudApi\Record\Condition\NotCondition;
use Tqdev\PhpCrudApi\Record\Condition\OrCondition;

/**
 * Which rows of a table a request is kept to, by `authorization.recordHandler` and `multiTenancy.handler`.
 *
 * A row that is gone can't be asked for any more. Whether a reader may know of it follows from comparing the rows that
 * the reader is kept to with those that the writer was kept to, as the row was one of the writer's. All values are
 * marks ({@see Bridge::mark()}), since this travels in events.
 */
final class Scope
{
    /**
     * @param string                $database In which they are.
     * @param string|null           $rule    The whole condition; null: all rows.
     * @param array<string, string> $equal   Columns that have to have one value, whatever else is asked.
     * @param bool                  $simple  Whether nothing else is asked.
     * @param list<string>|null     $columns All columns that the condition looks at; null: not known.
     */
    private function __construct(
        private readonly string $database,
        private readonly ?string $rule,
        private readonly array $equal = [],
        private readonly bool $simple = true,
        private readonly ?array $columns = [],
    ) {
    }

    /** That of a request which is kept to rows by something that is not known. */
    public static function unknown(): self
    {
        return new self('', bin2hex(random_bytes(16)), [], false, null);
    }

    /** That of the request which the API has just let through. */
    public static function ofRequest(Bridge $bridge, string $table, GenericDB $db): self
    {
        $equal = $columns = $texts = [];
        $simple = true;
        foreach (self::parts($table) as $part) {
            $texts[] = self::text($part, $columns);
            if ($part instanceof ColumnCondition && $part->getOperator() === 'eq') {
                $name = $bridge->mark("column {$part->getColumn()->getName()}");
                $value = $bridge->mark("value {$part->getValue()}");
                $simple = $simple && ($equal[$name] ?? $value) === $value;
                $equal[$name] = $value;
            } else {
                $simple = false;
            }
        }
        $texts = array_unique($texts);
        sort($texts);
        $marks = $columns === null ? null : array_map(static fn (string $name): string => $bridge->mark("column $name"), $columns);

        $rule = $texts === [] ? null : $bridge->mark(serialize($texts));

        return new self($bridge->mark("database {$db->getCacheKey()}"), $rule, $equal, $simple, $marks);
    }

    /**
     * All conditions that a row has to fulfil. The API joins them in one order or another, and some of them twice.
     *
     * @return list<Condition>
     */
    private static function parts(string $table): array
    {
        $parts = [];
        $conditions = [
            VariableStore::get("authorization.conditions.$table"),
            VariableStore::get("multiTenancy.conditions.$table"),
        ];
        while ($conditions !== []) {
            $condition = array_pop($conditions);
            if ($condition instanceof AndCondition) {
                array_push($conditions, ...$condition->getConditions());
            } elseif ($condition instanceof Condition && !$condition instanceof NoCondition) {
                $parts[] = $condition;
            }
        }

        return $parts;
    }

    /** @return array{database: string, rule: ?string, equal: array<string, string>} for an event */
    public function toArray(): array
    {
        return ['database' => $this->database, 'rule' => $this->rule, 'equal' => $this->equal];
    }

    /** From an event; null if it has none, as a wake. */
    public static function fromArray(mixed $array): ?self
    {
        $equal = $array['equal'] ?? null;
        $rule = $array['rule'] ?? null;
        $database = $array['database'] ?? null;
        if (!is_string($database) || !is_array($equal) || ($rule !== null && !is_string($rule))) {
            return null;
        }
        /** @var array<string, string> $equal */
        $equal = array_filter($equal, 'is_string');

        return new self($database, $rule, $equal, false, null);
    }

    /** Whether the marks of both say the same: those of two APIs with other settings don't. */
    public function isComparableWith(?self $writer): bool
    {
        return $writer !== null && $writer->database === $this->database;
    }

    /**
     * Whether a reader who is kept to this could read a row that the writer could write: yes, no, or null, where that
     * can't be told from the conditions.
     */
    public function includes(?self $writer): ?bool
    {
        if ($writer !== null && !$this->isComparableWith($writer)) {
            return null;
        }
        if ($this->rule === null) {
            return true;
        }
        if ($writer === null) {
            return null;
        }
        if ($this->rule === $writer->rule) {
            return true;
        }
        $common = array_intersect_key($this->equal, $writer->equal);
        if ($common !== array_intersect_assoc($common, $writer->equal)) {
            return false;
        }

        return $this->simple && count($common) === count($this->equal) ? true : null;
    }

    /**
     * Whether a change of these columns can move a row in or out of it.
     *
     * @param list<string>|null $marks null: any may have changed
     */
    public function dependsOn(?array $marks): bool
    {
        return $this->rule !== null
            && ($marks === null || $this->columns === null || array_intersect($this->columns, $marks) !== []);
    }

    /**
     * The condition as text: equal texts are equal conditions.
     *
     * @param list<string>|null $columns those in it are added; null once there is one that isn't known
     */
    private static function text(Condition $condition, ?array &$columns): string
    {
        if ($condition instanceof ColumnCondition && get_class($condition) === ColumnCondition::class) {
            $name = $condition->getColumn()->getName();
            if ($columns !== null) {
                $columns[] = $name;
            }

            return serialize([$name, $condition->getOperator(), $condition->getValue()]);
        }
        if ($condition instanceof AndCondition || $condition instanceof OrCondition) {
            return $condition::class . self::texts($condition->getConditions(), $columns);
        }
        if ($condition instanceof NotCondition) {
            return $condition::class . self::texts([$condition->getCondition()], $columns);
        }
        $columns = null;

        // Related tables, shapes: equal to nothing.
        return bin2hex(random_bytes(16));
    }

    /**
     * The conditions of another one, as text.
     *
     * @param list<Condition>   $conditions
     * @param list<string>|null $columns    as in text()
     */
    private static function texts(array $conditions, ?array &$columns): string
    {
        $texts = [];
        foreach ($conditions as $condition) {
            $texts[] = self::text($condition, $columns);
        }

        return serialize($texts);
    }
}

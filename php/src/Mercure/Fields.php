<?php

declare(strict_types=1);

namespace Sse\Mercure;

/** Fields of a query or form. Names may come several times, without the brackets that PHP itself asks for. */
final class Fields
{
    /** @param array<array-key, list<string>> $values */
    private function __construct(private readonly array $values)
    {
    }

    /** Those of a text such as `topic=a&topic=b`. */
    public static function of(string $text): self
    {
        $values = [];
        foreach (explode('&', $text) as $pair) {
            $end = strcspn($pair, '=');
            if ($pair !== '') {
                $values[urldecode(substr($pair, 0, $end))][] = urldecode(substr($pair, $end + 1));
            }
        }

        return new self($values);
    }

    /** @return list<string> */
    public function names(): array
    {
        return array_map(strval(...), array_keys($this->values));
    }

    /** @return list<string> */
    public function all(string $name): array
    {
        return $this->values[$name] ?? [];
    }

    /** The first one; empty if there is none. */
    public function first(string $name): string
    {
        return $this->values[$name][0] ?? '';
    }

    public function has(string $name): bool
    {
        return isset($this->values[$name]);
    }
}

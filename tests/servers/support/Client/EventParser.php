<?php

declare(strict_types=1);

namespace PhpSse\Tests\Client;

/**
 * Interprets an event stream that comes in pieces.
 *
 * HTML standard, 9.2.5 and 9.2.6: lines end in CRLF, LF or CR; a blank line dispatches the event; one with no data
 * field is dropped; what the stream's end cuts off is discarded.
 */
final class EventParser
{
    /** @var list<Event> */
    public array $events = [];
    public int $comments = 0;
    public ?int $retry = null;

    private string $buffer = '';
    private string $id = '';
    private string $name = '';
    /** @var list<string> */
    private array $data = [];

    public function feed(string $bytes): void
    {
        $this->buffer .= $bytes;
        $start = 0;
        $length = strlen($this->buffer);
        while (true) {
            $end = $start + strcspn($this->buffer, "\r\n", $start);
            // A CR at the very end may be half of a CRLF: wait for the next byte.
            if ($end >= $length || ($end + 1 === $length && $this->buffer[$end] === "\r")) {
                break;
            }
            $this->line(substr($this->buffer, $start, $end - $start));
            $start = $end + (substr_compare($this->buffer, "\r\n", $end, 2) === 0 ? 2 : 1);
        }
        $this->buffer = substr($this->buffer, $start);
    }

    private function line(string $line): void
    {
        if ($line === '') {
            if ($this->data !== []) {
                $this->events[] = new Event(
                    $this->id,
                    $this->name === '' ? 'message' : $this->name,
                    implode("\n", $this->data),
                );
            }
            $this->data = [];
            $this->name = '';

            return;
        }
        if ($line[0] === ':') {
            $this->comments++;

            return;
        }
        [$field, $value] = explode(':', $line, 2) + [1 => ''];
        $value = str_starts_with($value, ' ') ? substr($value, 1) : $value;
        match ($field) {
            'data' => $this->data[] = $value,
            'event' => $this->name = $value,
            'id' => $this->id = $value,
            'retry' => $this->retry = ctype_digit($value) ? (int) $value : $this->retry,
            default => null,
        };
    }
}

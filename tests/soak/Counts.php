<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** What happened in a scenario. */
final class Counts
{
    /** Attempts by what came of them. */
    public int $tried = 0;
    public int $accepted = 0;
    public int $threw = 0;
    public int $sent = 0;
    public int $dropped = 0;
    /** Of readers. */
    public int $delivered = 0;
    public int $connections = 0;
    public int $refused = 0;
    public int $resumed = 0;
    public int $gaps = 0;
    /** Hubs that have passed all on to the next. */
    public int $passedOn = 0;
    /** @var array<string, int> what the chaos loop did, by kind */
    public array $chaos = [];

    public function text(): string
    {
        ksort($this->chaos);
        $chaos = implode(', ', array_map(
            static fn (string $kind, int $count): string => "$kind $count",
            array_keys($this->chaos),
            $this->chaos,
        ));
        $passedOn = $this->passedOn > 0 ? "; $this->passedOn hubs passed on" : '';
        $unanswered = $this->sent + $this->dropped > 0 ? ", $this->sent sent unasked, $this->dropped dropped" : '';

        return "$this->accepted events accepted, " . ($this->threw + $this->tried) . " thrown$unanswered; $this->delivered delivered; "
            . "$this->connections connections, $this->refused refused, $this->resumed resumed, $this->gaps gaps; "
            . 'chaos: ' . ($chaos === '' ? 'none' : $chaos) . $passedOn;
    }
}

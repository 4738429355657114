<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

use Throwable;

/** Runs one scenario with one seed, and judges it. */
final class Soak
{
    /** Violations that are printed. */
    private const SHOWN = 10;
    /** Nanoseconds before and after a violation that its timeline shows, and lines at most. */
    private const AROUND = 2_000_000_000;
    private const LINES = 100;

    private ?World $world = null;
    private ?Chaos $chaos = null;

    public function __construct(
        private readonly Scenario $scenario,
        private readonly int $seed,
        private readonly int $seconds,
        private readonly Features $features,
    ) {
    }

    /** Whether nothing was found. */
    public function run(): bool
    {
        echo "--- {$this->scenario->name}: SEED=$this->seed SCENARIO={$this->scenario->name} SECONDS_EACH=$this->seconds make soak\n";
        $failure = null;
        try {
            $this->live();
        } catch (Throwable $thrown) {
            $failure = $thrown;
        }
        $ok = false;
        try {
            return $ok = $this->judge($failure);
        } finally {
            if (!$ok && $this->world !== null) {
                $kept = sys_get_temp_dir() . "/sse-soak-{$this->scenario->name}-$this->seed";
                $this->world->keep($kept);
                echo "The journals and logs are in $kept\n";
            }
            $this->stop();
        }
    }

    /** Ends all that was started. */
    public function stop(): void
    {
        $this->chaos?->undo(INF);
        $this->world?->remove();
        $this->world = $this->chaos = null;
    }

    private function live(): void
    {
        $level = getenv('LOG_LEVEL') ?: 'info';
        $this->world = new World($this->scenario, $this->seed, $this->seconds, $this->features, $level);
        $chance = new Chance($this->seed);
        $this->chaos = new Chaos($this->world, $chance, $this->world->journal);
        $this->world->start();
        $this->world->populate($chance);
        $this->chaos->watch();
        $actions = array_diff_key(
            $this->scenario->actions,
            $this->features->upgrade ? [] : ['upgrade' => 0, 'upgrade-by-signal' => 0],
            $this->world->disk !== null ? [] : ['fill-disk' => 0],
        );
        $this->chaos->run($actions, $this->seconds);
        $this->chaos->heal();
        $this->world->finish();
        $this->chaos->watch();
    }

    private function judge(?Throwable $failure): bool
    {
        if ($this->world === null) {
            echo "FAILED: $failure\n";

            return false;
        }
        $casualties = $this->world->casualties();
        $this->world->stopServers();
        $chaos = Journal::read($this->world->journalOf('chaos'));
        $verifier = new Verifier(
            Excuses::of($this->scenario->excuse, $chaos),
            $this->scenario->repeats(),
            !$this->scenario->keepsAll(),
        );
        $journals = [];
        foreach ([...$this->world->publishers, 'end'] as $name) {
            $journals[$name] = Journal::read($this->world->journalOf($name));
            $verifier->addPublisher($name, $journals[$name]);
        }
        if ($this->scenario->onDisk && is_file($this->world->file())) {
            $verifier->addFile($this->world->fileRows(), $this->scenario->keepsAll());
        }
        if ($this->world->redis !== null) {
            $verifier->addFile($this->world->redis->rows(), ($this->chaos->done['empty-redis'] ?? 0) === 0);
        }
        foreach ($this->world->readers as $name => $about) {
            $journals[$name] = Journal::read($this->world->journalOf($name));
            $verifier->addReader($name, $about['patterns'], $journals[$name]);
        }
        $verifier->verify();
        $counts = $verifier->counts;
        $counts->chaos = $this->chaos->done;
        $counts->passedOn = count(array_filter($chaos, static fn (array $line): bool => $line[1] === 'hub-passed-on'));
        $this->lookAround($verifier, $chaos, $casualties, $failure);
        echo $counts->text(), "\n";
        if ($verifier->violations === []) {
            return true;
        }
        $this->show($verifier->violations, $journals + ['chaos' => $chaos, 'upgrades' => Journal::read($this->world->journalOf('upgrades'))]);

        return false;
    }

    /** What no journal of a reader shows. */
    private function lookAround(Verifier $verifier, array $chaos, array $casualties, ?Throwable $failure): void
    {
        $now = Journal::now();
        if ($failure !== null) {
            $verifier->violate('failure', substr($failure->getMessage(), 0, 1000) . "\n" . $failure->getTraceAsString(), $now, 'soak');
        }
        foreach ($casualties as $name => $why) {
            $verifier->violate('failure', "its process failed, $why", $now, $name);
        }
        foreach ($chaos as $line) {
            if ($line[1] === 'hub-lost') {
                $verifier->violate('crash', "the hub $line[2] has ended by itself", $line[0], 'chaos');
            }
        }
        preg_match_all('/.*(panicked|signal (4|6|7|8|11)\b).*/', $this->world->logs(), $found);
        foreach (array_slice($found[0], 0, 5) as $line) {
            $verifier->violate('crash', "a log says: $line", $now, 'logs');
        }
        $counts = $verifier->counts;
        foreach (['accepted', 'delivered', 'resumed'] as $what) {
            if ($counts->{$what} === 0) {
                $verifier->violate('idle', "nothing was $what: this run proves nothing", $now, 'soak');
            }
        }
        if (preg_grep('/^(kill|restart|empty)-/', array_keys($counts->chaos)) === []) {
            $verifier->violate('idle', 'nothing was killed: this run proves nothing', $now, 'soak');
        }
    }

    /**
     * @param non-empty-list<Violation> $violations
     * @param array<string, list<array{int, string, ...}>> $journals
     */
    private function show(array $violations, array $journals): void
    {
        printf("FAILED: %d violations\n", count($violations));
        usort($violations, static fn (Violation $one, Violation $other): int => $one->time <=> $other->time);
        foreach (array_slice($violations, 0, self::SHOWN) as $violation) {
            printf("  %s %s: %s\n", self::seconds($violation->time, $journals), $violation->kind, $violation->what);
        }
        $first = $violations[0];
        echo "Around the first (seconds, whose journal, what):\n";
        foreach (Timeline::around($journals, $first, self::AROUND, self::LINES) as [$time, $who, $text]) {
            printf("  %s %-10s %s\n", self::seconds($time, $journals), $who, $text);
        }
    }

    /** Seconds since the first line of all. */
    private static function seconds(int $time, array $journals): string
    {
        $begin = min(array_map(static fn (array $lines): int => $lines[0][0] ?? PHP_INT_MAX, $journals));

        return $time > $begin ? sprintf('%9.4f', ($time - $begin) / 1e9) : '         ';
    }
}

<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** What runs together, what is done to it, and what may be lost then. */
final class Scenario
{
    /** A gap may be told when a hub has died since: its memory is gone. */
    public const HUB_DIED = 'hub-died';
    /** A gap may be told by a hub that began while the disk was full: SQLite can't even read then. */
    public const DISK_FULL = 'disk-full';
    /**
     * A gap may be told to everybody when Redis was started anew: what it knew last may be missing. It may also be told to
     * a reader that comes while its hub can't ask Redis.
     */
    public const REDIS = 'redis';
    /** A gap may be told at any time, as hardly anything is kept; but it must be told where something is missing. */
    public const FORGOTTEN = 'forgotten';
    /** No gap at all. */
    public const NEVER = 'never';

    /**
     * @param string $server of the catalogue of servers
     * @param array<string, int> $actions of the chaos loop, and how often each
     * @param string $excuse for gaps
     * @param array<string, string|int> $settings
     */
    public function __construct(
        public readonly string $name,
        public readonly string $server,
        public readonly array $actions,
        public readonly string $excuse,
        public readonly array $settings = [],
        public readonly bool $onDisk = false,
        public readonly bool $onBus = false,
    ) {
    }

    /** Whether all that was accepted is still there at the end, where Redis did not begin empty. */
    public function keepsAll(): bool
    {
        return $this->excuse !== self::FORGOTTEN;
    }

    /** Whether a reader of unknown place is told of a gap and sent all that is kept: old events again, and with holes. */
    public function repeats(): bool
    {
        return in_array($this->excuse, [self::FORGOTTEN, self::REDIS], true);
    }

    /** Whether this extension can do what it is about. */
    public function isFor(Features $features): bool
    {
        return match ($this->name) {
            'upgrade', 'processes' => $features->upgrade,
            'bus' => $features->bus,
            default => true,
        };
    }

    /** @return array<string, self> */
    public static function all(): array
    {
        $fpm = [
            'kill-hub' => 4,
            'kill-worker' => 4,
            'kill-workers' => 1,
            'kill-nginx' => 2,
            'restart-nginx' => 1,
            'reload-fpm' => 1,
            'stop-hub' => 3,
            'stop-worker' => 3,
            'stop-nginx' => 2,
            'upgrade' => 2,
            'upgrade-by-signal' => 2,
            'kill-in-upgrade' => 3,
        ];
        $php = [
            'kill-hub' => 3,
            'stop-hub' => 3,
            'stop-worker' => 2,
            'restart-php' => 2,
            'upgrade' => 2,
            'upgrade-by-signal' => 2,
            'kill-in-upgrade' => 2,
        ];
        $upgrades = ['kill-hub' => 0, 'kill-in-upgrade' => 0, 'upgrade' => 8, 'upgrade-by-signal' => 8];
        $file = ['lock-file' => 2];
        $redis = ['kill-redis' => 1, 'empty-redis' => 1, 'stop-redis' => 2, 'cut-redis' => 3];

        return array_column([
            // The history is the hub's: what was accepted and not yet delivered dies with it, and so do all older ids. A
            // gap is told to each reader that comes back from before; without a hub's death there is none.
            new self('memory', 'nginx-fpm-unix', $fpm, self::HUB_DIED),
            // No hub dies, but each passes everything on to the next: nothing is lost, although all of it is in memory.
            new self('upgrade', 'nginx-fpm-unix', $upgrades + $fpm, self::NEVER),
            // The same with streams in processes of their own, which die: their clients come back to what they have missed.
            new self(
                'processes',
                'nginx-fpm-unix',
                ['kill-holder' => 8] + $upgrades + $fpm,
                self::NEVER,
                ['sse.processes' => 3],
            ),
            // What was accepted is in the file: nothing is lost, whatever dies and whatever happens to the disk. A gap is
            // told by a hub only that had to begin while the disk was full, and until it has read the file.
            new self('sqlite', 'nginx-fpm-unix', $fpm + $file + ['fill-disk' => 2], self::DISK_FULL, onDisk: true),
            // So little is kept that most who come back have missed something that is gone; from one hub to the next it
            // must be known as exactly what that is. The last events, one for each topic, are all kept: a reader that was
            // cut off as a slow one while they were published has to get them when it comes back.
            new self(
                'forgetful',
                'nginx-fpm-unix',
                $fpm + $file,
                self::FORGOTTEN,
                ['sse.history_events' => count(Topics::ALL)],
                onDisk: true,
            ),
            // As sqlite without a full disk: no gap at all. When all of php -S dies, its hub ends in good order, and another
            // begins at once.
            new self('cli-server', 'php-s-workers', $php + $file, self::NEVER, onDisk: true),
            // Two hubs on one Redis, and readers that come to either. What Redis has written down is not lost, but for a
            // Redis that begins empty.
            new self('bus', 'nginx-fpm-unix', $fpm + $redis, self::REDIS, onBus: true),
        ], null, 'name');
    }
}

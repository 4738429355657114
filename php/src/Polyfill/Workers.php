<?php

declare(strict_types=1);

namespace Sse\Polyfill;

/**
 * How many of the server's workers streams may hold, so that some are left for everything else.
 *
 * What `sse.polyfill_streams` says holds up to all workers but one, where their number is known: `php -S` has it in its
 * environment; PHP-FPM tells how many there are, and, with `pm = static` or once it had as many as it may, how many there
 * can be. Without the setting it is half of PHP-FPM's, at most {@see self::USUAL}, and none of `php -S`: its processes take
 * further requests before they begin with one, and these would wait for the end of the stream.
 */
final class Workers
{
    /** Debian's PHP-FPM has five. */
    private const USUAL = 2;
    /** Attempts to be told of PHP-FPM's pool, and microseconds between two. */
    private const ATTEMPTS = 100;
    private const PAUSE = 100;

    private readonly bool $isChosen;
    private readonly int $chosen;

    public function __construct(Settings $settings)
    {
        $this->isChosen = $settings->isGiven('polyfill_streams');
        $this->chosen = $settings->number('polyfill_streams');
    }

    /** Most streams that may hold a worker now. */
    public function mostStreams(): int
    {
        if (PHP_SAPI === 'cli-server') {
            // As many processes besides the first one, which answers requests, too. One or none: there is only the first.
            $workers = (int) getenv('PHP_CLI_SERVER_WORKERS');

            return $workers < 2 ? 0 : $this->of($workers + 1, 0);
        }
        $pool = self::pool();
        if ($pool === null) {
            return $this->chosen;
        }
        $workers = self::number($pool, 'total-processes');
        $most = match (true) {
            ($pool['process-manager'] ?? '') === 'static' => $workers,
            self::number($pool, 'max-children-reached') > 0 => max($workers, self::number($pool, 'max-active-processes')),
            default => null,
        };

        return $most === null
            ? ($this->isChosen ? $this->chosen : min(self::USUAL, max(1, intdiv($workers, 2))))
            : $this->of($most, min(self::USUAL, intdiv($most, 2)));
    }

    /**
     * What PHP-FPM tells of its workers. For the moment in which another one begins or ends a request, or asks as well, it fails.
     *
     * @return array<string, mixed>|null null: there is no PHP-FPM, or it may not be asked
     */
    private static function pool(): ?array
    {
        for ($attempt = 0; $attempt < self::ATTEMPTS && function_exists('fpm_get_status'); $attempt++) {
            /** @var array<string, mixed>|false $pool */
            $pool = fpm_get_status();
            if ($pool !== false) {
                return $pool;
            }
            usleep(self::PAUSE);
        }

        return null;
    }

    private function of(int $workers, int $usual): int
    {
        return $this->isChosen ? min($this->chosen, max(0, $workers - 1)) : $usual;
    }

    /** @param array<string, mixed> $pool */
    private static function number(array $pool, string $name): int
    {
        $number = $pool[$name] ?? 0;

        return is_int($number) ? $number : 0;
    }
}

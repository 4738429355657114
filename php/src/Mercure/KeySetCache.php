<?php

declare(strict_types=1);

namespace Sse\Mercure;

use Sse\Polyfill\Folder;

/** The file in which all processes of a user keep a JWK Set. */
final class KeySetCache
{
    private readonly string $name;

    public function __construct(string $url, private readonly Folder $folder)
    {
        $this->name = 'jwks-' . substr(hash('sha256', $url), 0, 32);
    }

    /** @return array{keys: list<array<array-key, mixed>>, fetched: int, tried: int} when it was fetched, or that was tried */
    public function read(): array
    {
        $file = $this->folder->file("$this->name.json");
        $kept = is_file($file) ? json_decode((string) file_get_contents($file), true, 16) : null;
        if (!is_array($kept) || !is_array($kept['keys'] ?? null)) {
            return ['keys' => [], 'fetched' => 0, 'tried' => 0];
        }

        return [
            'keys' => array_values(array_filter($kept['keys'], is_array(...))),
            'fetched' => (int) ($kept['fetched'] ?? 0),
            'tried' => (int) ($kept['tried'] ?? 0),
        ];
    }

    /**
     * Fetches it anew, unless that was tried within so many seconds or another process is about to; returns what there is then.
     *
     * @param callable(): (list<array<array-key, mixed>>|null) $fetch
     *
     * @return array{keys: list<array<array-key, mixed>>, fetched: int, tried: int}
     */
    public function renew(int $pause, int $now, callable $fetch): array
    {
        $lock = $this->folder->open("$this->name.lock");
        try {
            $mine = flock($lock, LOCK_EX | LOCK_NB);
            $kept = $this->read();
            if (!$mine || KeySet::age($kept['tried'], $now) < $pause) {
                return $kept;
            }
            // Before: a process that is ended while it waits for the answer has tried, too.
            if (!$this->write(['tried' => $now] + $kept)) {
                // Or every request would fetch them.
                return $kept;
            }
            $keys = $fetch();
            if ($keys !== null) {
                $kept = ['keys' => $keys, 'fetched' => $now, 'tried' => $now];
                $this->write($kept);
            }

            return $kept;
        } finally {
            fclose($lock);
        }
    }

    /**
     * @param array<string, mixed> $kept
     *
     * @return bool false: it could not be written, and what there was is still there
     */
    private function write(array $kept): bool
    {
        // Whoever reads has the old one or the new one, also where the disk is full.
        $new = $this->folder->file("$this->name.new");
        $text = json_encode($kept, JSON_THROW_ON_ERROR);
        if (@file_put_contents($new, $text) === strlen($text) && @rename($new, $this->folder->file("$this->name.json"))) {
            return true;
        }
        error_log("The keys of Mercure's tokens can't be kept in $new: " . (error_get_last()['message'] ?? 'no reason is known'));
        @unlink($new);

        return false;
    }
}

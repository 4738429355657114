<?php

declare(strict_types=1);

namespace Sse\Mercure;

use InvalidArgumentException;
use Sse\Polyfill\Folder;
use Sse\Polyfill\Settings;
use SseUnavailable;

/**
 * The public keys of a server that issues tokens and changes its keys: its JWK Set (RFC 7517).
 *
 * ```php
 * return new Endpoint(new KeySet('https://login.example.com/.well-known/jwks.json'));
 * ```
 *
 * All processes share what was fetched, in a file. It is fetched anew after `lifetime` seconds, and when a token names a
 * key that is not in it, once in `pause` seconds, whatever clients send: by one process, while the others use what there is.
 * While the server does not answer, the keys are good for a day.
 */
final class KeySet implements Keys
{
    /** Largest set in bytes, and most keys of it that are looked at. */
    private const LARGEST = 256 << 10;
    private const MOST_KEYS = 32;
    /** Seconds that fetching may take, and after which keys that could not be fetched anew are good no longer. */
    private const PATIENCE = 3;
    private const STALE = 86_400;

    private readonly string $url;

    /**
     * @param string      $url      Where it is: `https://…`, or `http://` on this machine.
     * @param string|null $folder   Where the file is kept: this user's own, mode 0700; null: in the folder of temporary files.
     * @param int         $lifetime Seconds after which it is fetched anew.
     * @param int         $pause    Least seconds from one attempt to the next.
     *
     * @throws InvalidArgumentException Others could change it on its way.
     */
    public function __construct(
        string $url,
        private readonly ?string $folder = null,
        private readonly int $lifetime = 3600,
        private readonly int $pause = 60,
    ) {
        if (preg_match('~^(?:https://|http://(?:localhost|127\.0\.0\.1|\[::1\])[:/])\S+$~D', $url) !== 1) {
            throw new InvalidArgumentException("'$url' does not begin with 'https://': others could change the keys on their way");
        }
        $this->url = $url;
    }

    public function of(string $algorithm, ?string $id): array
    {
        // A token may name what it likes: what no key can be for is not worth a look.
        if (!in_array($algorithm, Key::algorithms(), true) || str_starts_with($algorithm, 'HS')) {
            return [];
        }
        $cache = new KeySetCache($this->url, new Folder(new Settings(
            $this->folder === null ? [] : ['polyfill_folder' => $this->folder],
        )));
        $now = time();
        $kept = $cache->read();
        $found = self::select($kept, $algorithm, $id);
        if ($found === [] || self::age($kept['fetched'], $now) >= $this->lifetime) {
            $kept = $cache->renew($this->pause, $now, $this->fetch(...));
            $found = self::select($kept, $algorithm, $id);
        }
        if (self::age($kept['fetched'], $now) >= self::STALE) {
            throw new SseUnavailable("the keys at $this->url could not be fetched");
        }

        return $found;
    }

    /**
     * @param array{keys: list<array<array-key, mixed>>, fetched: int, tried: int} $kept
     *
     * @return list<Key>
     */
    private static function select(array $kept, string $algorithm, ?string $id): array
    {
        $found = [];
        foreach ($kept['keys'] as $jwk) {
            $key = $id === null || ($jwk['kid'] ?? $id) === $id ? Jwk::key($jwk, $algorithm) : null;
            if ($key !== null) {
                $found[] = $key;
            }
        }

        return $found;
    }

    /** Seconds since then; a clock that was set back makes it old. */
    public static function age(int $then, int $now): int
    {
        return $then > $now ? PHP_INT_MAX : $now - $then;
    }

    /** @return list<array<array-key, mixed>>|null the keys; null if they can't be had, which is in PHP's log */
    private function fetch(): ?array
    {
        $context = stream_context_create(['http' => [
            'timeout' => self::PATIENCE,
            'follow_location' => 0,
            'header' => 'Accept: application/jwk-set+json, application/json',
        ]]);
        $file = @fopen($this->url, 'r', false, $context);
        if ($file === false) {
            $this->tell(error_get_last()['message'] ?? 'no answer');

            return null;
        }
        $text = '';
        $until = microtime(true) + self::PATIENCE;
        while (!feof($file) && strlen($text) <= self::LARGEST && microtime(true) < $until) {
            $text .= (string) fread($file, 8192);
        }
        $keys = json_decode($text, true, 16)['keys'] ?? null;
        if (strlen($text) > self::LARGEST || !is_array($keys)) {
            $this->tell('it is no JWK Set of 256 KiB at most');

            return null;
        }

        return array_slice(array_values(array_filter($keys, is_array(...))), 0, self::MOST_KEYS);
    }

    private function tell(string $reason): void
    {
        error_log("The keys at $this->url could not be fetched: $reason");
    }
}

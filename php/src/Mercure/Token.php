<?php

declare(strict_types=1);

namespace Sse\Mercure;

use JsonException;
use SensitiveParameter;
use Sse\Base64;
use SseUnavailable;
use stdClass;

/** A client's token, a JWS in compact form (RFC 7515), whose signature is good and which is good now (RFC 7519). */
final class Token
{
    /** Longest token in bytes: a server's usual limit for all headers. */
    private const LONGEST = 32768;
    private const DEPTH = 32;

    /**
     * @param array<array-key, mixed> $header
     * @param array<array-key, mixed> $claims
     * @param mixed                   $plain   The claims with objects as such.
     * @param int|null                $expires When it ends, in seconds since 1970; null: never.
     */
    private function __construct(
        public readonly array $header,
        public readonly array $claims,
        private readonly mixed $plain,
        public readonly ?int $expires,
    ) {
    }

    /**
     * Null if it is not valid now, or is not of these keys.
     *
     * @throws SseUnavailable It is not known at the moment which keys there are.
     */
    public static function read(#[SensitiveParameter] string $token, Keys $keys, ?int $now = null): ?self
    {
        $now ??= time();
        $parts = strlen($token) > self::LONGEST ? [] : explode('.', $token);
        if (count($parts) !== 3) {
            return null;
        }
        [$header, $claims] = [self::object($parts[0]), self::object($parts[1])];
        $signature = Base64::decode($parts[2]);
        // "crit": what must be understood is not.
        if ($header === null || isset($header['crit']) || $signature === null || $claims === null) {
            return null;
        }
        if (!self::isSigned("$parts[0].$parts[1]", $signature, $header, $keys)) {
            return null;
        }
        // RFC 7519, 2: "A JSON numeric value representing the number of seconds". Rounded to when the token is not good.
        [$expires, $begins] = [$claims['exp'] ?? null, $claims['nbf'] ?? 0];
        if (!($expires === null || is_int($expires) || is_float($expires)) || !(is_int($begins) || is_float($begins))) {
            return null;
        }
        if (($expires !== null && floor($expires) <= $now) || $begins > $now) {
            return null;
        }
        $plain = json_decode((string) Base64::decode($parts[1]), false, self::DEPTH);

        // A number that is too large for an int would become any.
        return new self($header, $claims, $plain, $expires === null ? null : (int) min($expires, 1 << 40));
    }

    /** What is behind these names in the claims, with objects as such, so that an empty one stays one; null: nothing. */
    public function plain(string|int ...$names): mixed
    {
        $value = $this->plain;
        foreach ($names as $name) {
            $values = $value instanceof stdClass ? get_object_vars($value) : $value;
            $value = is_array($values) ? $values[$name] ?? null : null;
        }

        return $value;
    }

    /** @param array<array-key, mixed> $header */
    private static function isSigned(string $text, string $signature, array $header, Keys $keys): bool
    {
        [$algorithm, $id] = [$header['alg'] ?? null, $header['kid'] ?? null];
        if (!is_string($algorithm) || !($id === null || is_string($id))) {
            return false;
        }
        foreach ($keys->of($algorithm, $id) as $key) {
            if ($key->verifies($text, $signature)) {
                return true;
            }
        }

        return false;
    }

    /** @return array<array-key, mixed>|null */
    private static function object(string $part): ?array
    {
        $json = Base64::decode($part);
        try {
            $value = $json === null ? null : json_decode($json, true, self::DEPTH, JSON_THROW_ON_ERROR);
        } catch (JsonException) {
            return null;
        }

        return is_array($value) ? $value : null;
    }
}

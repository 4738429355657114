<?php

declare(strict_types=1);

namespace Sse\Mercure;

use InvalidArgumentException;
use Sse\Base64;

/** Public keys as JSON (RFC 7517, 7518 and 8037). */
final class Jwk
{
    /** Curve: algorithm, its name in ASN.1 with that of keys on curves, bytes of a number. */
    private const CURVES = [
        'P-256' => ['ES256', "\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 32],
        'P-384' => ['ES384', "\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22", 48],
        'P-521' => ['ES512', "\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23", 66],
    ];
    private const RSA = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    private const ED25519 = "\x30\x05\x06\x03\x2b\x65\x70";

    /**
     * The key for tokens of this algorithm; null if it is for something else, or is none.
     *
     * @param array<array-key, mixed> $jwk
     */
    public static function key(array $jwk, string $algorithm): ?Key
    {
        $named = $jwk['alg'] ?? $algorithm;
        $uses = $jwk['key_ops'] ?? ['verify'];
        if ($named !== $algorithm || ($jwk['use'] ?? 'sig') !== 'sig' || !is_array($uses) || !in_array('verify', $uses, true)) {
            return null;
        }
        $pem = match ($jwk['kty'] ?? null) {
            'RSA' => self::rsa($jwk, $algorithm),
            'EC' => self::curve($jwk, $algorithm),
            'OKP' => self::edwards($jwk, $algorithm),
            // A secret that an URL tells everybody would be none.
            default => null,
        };
        try {
            return $pem === null ? null : new Key($pem, $algorithm);
        } catch (InvalidArgumentException) {
            return null;
        }
    }

    /** @param array<array-key, mixed> $jwk */
    private static function rsa(array $jwk, string $algorithm): ?string
    {
        [$modulus, $exponent] = [self::bytes($jwk['n'] ?? null), self::bytes($jwk['e'] ?? null)];
        if (!str_starts_with($algorithm, 'RS') || $modulus === null || $exponent === null) {
            return null;
        }

        return Der::publicKey(self::RSA, Der::sequence(Der::number($modulus), Der::number($exponent)));
    }

    /** @param array<array-key, mixed> $jwk */
    private static function curve(array $jwk, string $algorithm): ?string
    {
        $curve = $jwk['crv'] ?? null;
        [$of, $name, $length] = is_string($curve) ? self::CURVES[$curve] ?? ['', '', 0] : ['', '', 0];
        [$x, $y] = [self::bytes($jwk['x'] ?? null), self::bytes($jwk['y'] ?? null)];
        if ($of !== $algorithm || strlen((string) $x) !== $length || strlen((string) $y) !== $length) {
            return null;
        }

        return Der::publicKey($name, "\x04$x$y");
    }

    /** @param array<array-key, mixed> $jwk */
    private static function edwards(array $jwk, string $algorithm): ?string
    {
        $x = self::bytes($jwk['x'] ?? null);
        $fits = $algorithm === 'EdDSA' && ($jwk['crv'] ?? null) === 'Ed25519' && strlen((string) $x) === 32;

        return $fits ? Der::publicKey(self::ED25519, (string) $x) : null;
    }

    private static function bytes(mixed $text): ?string
    {
        return is_string($text) ? Base64::decode($text) : null;
    }
}

<?php

declare(strict_types=1);

namespace Sse\Mercure;

use InvalidArgumentException;
use OpenSSLAsymmetricKey;
use SensitiveParameter;

/**
 * A key, and the one algorithm by which it signs tokens (RFC 7518): a token that names another one is not valid,
 * whatever it says.
 */
final class Key implements Keys
{
    /** Algorithm: function, hash, and for ES the bytes of a number. EdDSA is with Ed25519 only, and hashes by itself. */
    private const ALGORITHMS = [
        'HS256' => ['HS', 'sha256', 32],
        'HS384' => ['HS', 'sha384', 48],
        'HS512' => ['HS', 'sha512', 64],
        'RS256' => ['RS', 'sha256', 0],
        'RS384' => ['RS', 'sha384', 0],
        'RS512' => ['RS', 'sha512', 0],
        'ES256' => ['ES', 'sha256', 32],
        'ES384' => ['ES', 'sha384', 48],
        'ES512' => ['ES', 'sha512', 66],
        'EdDSA' => ['Ed', 'sha512', 32],
    ];
    /** What comes before the 32 bytes of a public key of Ed25519 (RFC 8410). */
    private const ED25519 = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

    /** Why a variable that is set may not be there. */
    public const CLEARED = 'PHP-FPM clears the environment, so give it variables by fastcgi_param or by env[…] of the pool';

    private readonly OpenSSLAsymmetricKey|string $key;

    /**
     * @param string|false $key For HS…: a secret of 32 bytes or more. For others: a public key as PEM. False, as
     *                          getenv() returns it for a variable that is not set, and an empty one are refused.
     * @param string $algorithm `HS256`, `HS384`, `HS512`, the same with `RS` and `ES`, and `EdDSA` (Ed25519).
     *
     * @throws InvalidArgumentException It is no key of this algorithm.
     */
    public function __construct(#[SensitiveParameter] string|false $key, public readonly string $algorithm = 'HS256')
    {
        if ($key === false || $key === '') {
            throw new InvalidArgumentException(
                'the key is empty: is its variable set for the SAPI ' . PHP_SAPI . '? ' . self::CLEARED,
            );
        }
        [$kind, , $length] = self::ALGORITHMS[$algorithm] ?? throw new InvalidArgumentException(
            "'$algorithm' is not one of " . implode(', ', array_keys(self::ALGORITHMS)),
        );
        if ($kind === 'HS') {
            // A public key whose algorithm was forgotten would be a secret that everybody knows.
            if (str_contains($key, '-----BEGIN')) {
                throw new InvalidArgumentException("a key as PEM is no secret for $algorithm: name its algorithm, RS… or ES…");
            }
            // RFC 7518, 3.2: "A key of the same size as the hash output … or larger MUST be used". Mercure's own
            // placeholder has 33 bytes, whatever the hash, so 32 are enough for all.
            if (strlen($key) < 32) {
                throw new InvalidArgumentException("a secret for $algorithm has 32 bytes or more");
            }
            $this->key = $key;

            return;
        }
        if ($kind === 'Ed') {
            $this->key = self::edwards($key);

            return;
        }
        $public = openssl_pkey_get_public($key);
        $details = $public === false ? false : openssl_pkey_get_details($public);
        $bits = $details['bits'] ?? 0;
        $type = $kind === 'RS' ? OPENSSL_KEYTYPE_RSA : OPENSSL_KEYTYPE_EC;
        $fits = ($details['type'] ?? null) === $type
            && ($kind === 'RS' ? $bits >= 2048 : intdiv($bits + 7, 8) === $length);
        if ($public === false || !$fits) {
            throw new InvalidArgumentException("it is no public key for $algorithm, of a usual length, as PEM");
        }
        $this->key = $public;
    }

    /** Whether the signature is this key's. */
    public function verifies(string $text, string $signature): bool
    {
        [$kind, $hash, $length] = self::ALGORITHMS[$this->algorithm];
        if ($kind === 'Ed' && is_string($this->key)) {
            return strlen($signature) === SODIUM_CRYPTO_SIGN_BYTES && $this->key !== ''
                && sodium_crypto_sign_verify_detached($signature, $text, $this->key);
        }
        if (is_string($this->key)) {
            return hash_equals(hash_hmac($hash, $text, $this->key, true), $signature);
        }
        if ($kind === 'ES') {
            if (strlen($signature) !== 2 * $length) {
                return false;
            }
            // OpenSSL has the two numbers as ASN.1.
            $numbers = [Der::number(substr($signature, 0, $length)), Der::number(substr($signature, $length))];
            $signature = Der::sequence(...$numbers);
        }

        return openssl_verify($text, $signature, $this->key, $hash) === 1;
    }

    public function of(string $algorithm, ?string $id): array
    {
        return $algorithm === $this->algorithm ? [$this] : [];
    }

    /** @return list<string> those that a key may have */
    public static function algorithms(): array
    {
        return array_keys(self::ALGORITHMS);
    }

    /** The bytes of a key of Ed25519. */
    private static function edwards(string $pem): string
    {
        if (!function_exists('sodium_crypto_sign_verify_detached')) {
            throw new InvalidArgumentException('EdDSA needs PHP\'s module sodium');
        }
        $found = preg_match('/^\s*-----BEGIN PUBLIC KEY-----([A-Za-z0-9+\/=\s]+)-----END PUBLIC KEY-----\s*$/D', $pem, $match);
        $key = $found === 1 ? (string) base64_decode($match[1], true) : '';
        if (strlen($key) !== strlen(self::ED25519) + 32 || !str_starts_with($key, self::ED25519)) {
            throw new InvalidArgumentException('it is no public key of Ed25519 as PEM');
        }

        return substr($key, strlen(self::ED25519));
    }
}

<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use Closure;
use Sse\Mercure\Draft;
use Sse\Mercure\Keys;
use Sse\Mercure\Matcher;
use Sse\Mercure\Token;

/** Signs tokens with a new key of some algorithm, or with a secret. */
final class Signer
{
    private const CURVES = ['ES256' => 'prime256v1', 'ES384' => 'secp384r1', 'ES512' => 'secp521r1'];
    private const LENGTHS = ['ES256' => 32, 'ES384' => 48, 'ES512' => 66];

    /**
     * @param array<string, string>   $jwk  The public key as JSON has it; empty: there is none.
     * @param string                  $pem  The public key.
     * @param Closure(string): string $sign
     */
    private function __construct(
        public readonly string $algorithm,
        public readonly array $jwk,
        public readonly string $pem,
        private readonly Closure $sign,
    ) {
    }

    public static function of(string $algorithm): self
    {
        if ($algorithm === 'EdDSA') {
            $pair = sodium_crypto_sign_keypair();
            $public = sodium_crypto_sign_publickey($pair);
            $secret = sodium_crypto_sign_secretkey($pair);
            $der = hex2bin('302a300506032b6570032100') . $public;
            $pem = "-----BEGIN PUBLIC KEY-----\n" . base64_encode($der) . "\n-----END PUBLIC KEY-----\n";
            $jwk = ['kty' => 'OKP', 'crv' => 'Ed25519', 'x' => self::encode($public)];

            return new self($algorithm, $jwk, $pem, static fn (string $text): string => sodium_crypto_sign_detached($text, $secret));
        }
        $hash = 'sha' . substr($algorithm, 2);
        $curve = self::CURVES[$algorithm] ?? null;
        $kind = $curve === null
            ? ['private_key_bits' => 2048]
            : ['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => $curve];
        $private = openssl_pkey_new($kind);
        $details = openssl_pkey_get_details($private);
        $length = self::LENGTHS[$algorithm] ?? 0;
        $jwk = $curve === null
            ? ['kty' => 'RSA', 'n' => self::encode($details['rsa']['n']), 'e' => self::encode($details['rsa']['e'])]
            : [
                'kty' => 'EC',
                'crv' => ['ES256' => 'P-256', 'ES384' => 'P-384', 'ES512' => 'P-521'][$algorithm],
                'x' => self::encode(str_pad($details['ec']['x'], $length, "\0", STR_PAD_LEFT)),
                'y' => self::encode(str_pad($details['ec']['y'], $length, "\0", STR_PAD_LEFT)),
            ];
        $sign = static function (string $text) use ($private, $hash, $length): string {
            openssl_sign($text, $signature, $private, $hash);

            return $length === 0 ? $signature : self::numbers($signature, $length);
        };

        return new self($algorithm, $jwk, $details['key'], $sign);
    }

    /** With HS256. */
    public static function ofSecret(string $secret): self
    {
        return new self('HS256', [], '', static fn (string $text): string => hash_hmac('sha256', $text, $secret, true));
    }

    /**
     * @param array<string, mixed> $claims
     * @param array<string, mixed> $header
     */
    public function token(array $claims, array $header = []): string
    {
        $text = self::encode((string) json_encode(['alg' => $this->algorithm] + $header)) . '.'
            . self::encode((string) json_encode((object) $claims));

        return "$text." . self::encode(($this->sign)($text));
    }

    /** What a token of Mercure 0.x allows, as texts; null: nothing, as it is none. */
    public static function read(string $token, Keys $keys, ?int $now = null): ?object
    {
        $read = Token::read($token, $keys, $now);
        $claims = $read === null ? null : (new Draft())->claims($read);
        $texts = static fn (array $matchers): array => array_map(static fn (Matcher $one): string => $one->text, $matchers);

        return $claims === null ? null : (object) [
            'publish' => $texts($claims->publish),
            'subscribe' => $texts($claims->subscribe),
            'expires' => $claims->expires,
        ];
    }

    public static function encode(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }

    /** The two numbers of a signature of OpenSSL's, as JWS has them. */
    public static function numbers(string $signature, int $length): string
    {
        $place = ord($signature[1]) > 0x7F ? 3 : 2;
        $numbers = '';
        for ($nth = 0; $nth < 2; $nth++) {
            $bytes = substr($signature, $place + 2, ord($signature[$place + 1]));
            $place += 2 + strlen($bytes);
            $numbers .= str_pad(ltrim($bytes, "\0"), $length, "\0", STR_PAD_LEFT);
        }

        return $numbers;
    }
}

<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Sse\Mercure\Key;

/** Tokens of Mercure's clients: what is changed in one, signed by another, or by another algorithm, is none. */
final class MercureTokenTest extends TestCase
{
    private const SECRET = '!ChangeThisMercureHubJWTSecretKey!';

    /** Of the conformance tests of Mercure's own project, whose hub has this key. */
    private const OF_MERCURE = 'eyJhbGciOiJIUzI1NiJ9.eyJtZXJjdXJlIjp7InB1Ymxpc2giOlsiKiJdLCJzdWJzY3JpYmUiOlsiKiJdfX0'
        . '.bVXdlWXwfw9ySx7-iV5OpUSHo34RkjUdVzDLBcc6l_g';

    public function testATokenOfMercuresOwnProjectIsGood(): void
    {
        $claims = Signer::read(self::OF_MERCURE, new Key(self::SECRET));

        self::assertNotNull($claims);
        self::assertSame([['*'], ['*'], null], [$claims->publish, $claims->subscribe, $claims->expires]);
    }

    public function testNoChangedTokenIsGood(): void
    {
        $key = new Key(self::SECRET);
        for ($i = 0; $i < strlen(self::OF_MERCURE); $i++) {
            foreach (['A', 'B', '-', '.', '', '=', "\0"] as $other) {
                $changed = substr_replace(self::OF_MERCURE, $other, $i, 1);
                // The last letter's lowest bits are of no byte.
                if ($changed !== self::OF_MERCURE && $i < strlen(self::OF_MERCURE) - 1) {
                    self::assertNull(Signer::read($changed, $key), $changed);
                }
            }
        }
        foreach (['', '.', '..', '...', self::OF_MERCURE . '.', self::OF_MERCURE . "\n", str_repeat('x', 40_000)] as $none) {
            self::assertNull(Signer::read($none, $key));
        }
        self::assertNull(Signer::read(self::OF_MERCURE, new Key(self::SECRET . 'x')));
        self::assertNull(Signer::read(self::OF_MERCURE, new Key(str_pad(self::SECRET, 64, 'x'), 'HS512')));
    }

    /** @return iterable<string, array{string, string, array<string, int|string>}> algorithm, hash, kind of key */
    public static function algorithms(): iterable
    {
        foreach ([256 => 'prime256v1', 384 => 'secp384r1', 512 => 'secp521r1'] as $bits => $curve) {
            yield "RS$bits" => ["RS$bits", "sha$bits", ['private_key_bits' => 2048]];
            yield "ES$bits" => ["ES$bits", "sha$bits", ['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => $curve]];
        }
    }

    /**
     * @dataProvider algorithms
     * @param array<string, int|string> $kind
     */
    public function testSignaturesOfOtherAlgorithmsAreChecked(string $algorithm, string $hash, array $kind): void
    {
        $private = openssl_pkey_new($kind);
        $public = openssl_pkey_get_details($private)['key'];
        $key = new Key($public, $algorithm);
        // Numbers of a signature begin with zeros now and then.
        for ($nth = 0; $nth < 50; $nth++) {
            $text = self::text($algorithm, ['mercure' => ['subscribe' => ["t$nth"]]]);
            openssl_sign($text, $signature, $private, $hash);
            if ($algorithm[0] === 'E') {
                // The curve of ES512 has 521 bits.
                $signature = Signer::numbers($signature, ['ES256' => 32, 'ES384' => 48, 'ES512' => 66][$algorithm]);
            }
            self::assertSame(["t$nth"], Signer::read("$text." . Signer::encode($signature), $key)?->subscribe);
            self::assertNull(Signer::read("$text." . Signer::encode(strrev($signature)), $key));
            self::assertNull(Signer::read("$text." . Signer::encode("\0$signature"), $key));
        }
        // Attack: the public key, which everybody has, as the secret of a token that names another algorithm.
        $text = self::text('HS256', ['mercure' => ['subscribe' => ['*']]]);
        self::assertNull(Signer::read("$text." . Signer::encode(hash_hmac('sha256', $text, $public, true)), $key));
        // Attack: no algorithm.
        self::assertNull(Signer::read(self::text('none', ['mercure' => ['subscribe' => ['*']]]) . '.', $key));
        self::assertNull(Signer::read(self::text('none', ['mercure' => ['subscribe' => ['*']]]) . '.AA', $key));
        // A signature of zeros: CVE-2022-21449.
        $zeros = Signer::encode(str_repeat("\0", strlen((string) $signature)));
        self::assertNull(Signer::read(self::text($algorithm, ['mercure' => ['subscribe' => ['*']]]) . ".$zeros", $key));
    }

    public function testSignaturesOfEd25519AreChecked(): void
    {
        [$signer, $other] = [Signer::of('EdDSA'), Signer::of('EdDSA')];
        $key = new Key($signer->pem, 'EdDSA');
        $token = $signer->token(['mercure' => ['subscribe' => ['a']]]);
        self::assertSame(['a'], Signer::read($token, $key)?->subscribe);
        self::assertNull(Signer::read($other->token(['mercure' => ['subscribe' => ['a']]]), $key));
        [$header, $claims, $signature] = explode('.', $token);
        foreach ([strrev($signature), substr($signature, 1), "A$signature", Signer::encode(str_repeat("\0", 64))] as $changed) {
            self::assertNull(Signer::read("$header.$claims.$changed", $key), $changed);
        }
        // Attack: the public key as a secret.
        $text = self::text('HS256', ['mercure' => ['subscribe' => ['*']]]);
        $byKey = hash_hmac('sha256', $text, $signer->pem, true);
        self::assertNull(Signer::read("$text." . Signer::encode($byKey), $key));
    }

    public function testATokenIsGoodForItsTime(): void
    {
        foreach (
            [
                [['exp' => 1001], 1001],
                [['exp' => 1000], null],
                [['exp' => 1001.5], 1001],
                [['exp' => 1e300], 1 << 40],
                [['exp' => '2000'], null],
                [['exp' => -1e300], null],
                [['exp' => 2000, 'nbf' => 1000], 2000],
                [['exp' => 2000, 'nbf' => 1001], null],
                [['exp' => 2000, 'nbf' => []], null],
            ] as [$claims, $expires]
        ) {
            $token = self::signed(['mercure' => ['publish' => ['a']]] + $claims);
            self::assertSame($expires, Signer::read($token, new Key(self::SECRET), 1000)?->expires, json_encode($claims));
        }
    }

    public function testMercuresClaimIsReadAndAnythingElseRefused(): void
    {
        foreach (
            [
                [['mercure' => ['publish' => ['a', 'b']]], [['a', 'b'], []]],
                [['https://mercure.rocks/' => ['subscribe' => ['a']], 'mercure' => ['publish' => ['b']]], [[], ['a']]],
                [['sub' => 'x'], [[], []]],
                [['mercure' => 'x'], null],
                [['mercure' => ['publish' => 'a']], null],
                [['mercure' => ['publish' => [1]]], null],
                [['mercure' => ['subscribe' => array_fill(0, 1001, 'a')]], null],
                [[], [[], []]],
                ['text', null],
            ] as [$claims, $expected]
        ) {
            $found = Signer::read(self::signed($claims), new Key(self::SECRET));
            self::assertSame($expected, $found === null ? null : [$found->publish, $found->subscribe], json_encode($claims));
        }
        $critical = Signer::ofSecret(self::SECRET)->token([], ['crit' => ['b64'], 'b64' => false]);
        self::assertNull(Signer::read($critical, new Key(self::SECRET)));
    }

    public function testAKeyFitsItsAlgorithm(): void
    {
        $rsa = openssl_pkey_get_details(openssl_pkey_new(['private_key_bits' => 2048]))['key'];
        $small = openssl_pkey_get_details(openssl_pkey_new(['private_key_bits' => 1024]))['key'];
        $curve = ['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'secp384r1'];
        $other = openssl_pkey_get_details(openssl_pkey_new($curve))['key'];
        foreach (
            [['x', 'HS256'], [$rsa, 'HS256'], ["\n$other", 'HS512'], [$rsa, 'ES256'], [$small, 'RS256'], [$other, 'ES256'],
                [$other, 'RS256'], [self::SECRET, 'RS256'], [self::SECRET, 'none'], [$rsa, 'EdDSA'], [$rsa, 'PS256'],
                [self::SECRET, 'EdDSA'],
                [self::SECRET, 'hs256'],
                ['', 'HS256']] as [$key, $algorithm]
        ) {
            try {
                new Key($key, $algorithm);
                self::fail("a key for $algorithm is taken that is none");
            } catch (InvalidArgumentException $error) {
                self::assertStringNotContainsString(self::SECRET, $error->getMessage());
            }
        }
    }

    /** @param array<string, mixed>|string $claims */
    private static function text(string $algorithm, array|string $claims): string
    {
        $claims = json_encode($claims === [] ? (object) [] : $claims, JSON_PRESERVE_ZERO_FRACTION);

        return Signer::encode((string) json_encode(['alg' => $algorithm])) . '.' . Signer::encode((string) $claims);
    }

    /** @param array<string, mixed>|string $claims */
    private static function signed(array|string $claims): string
    {
        $text = self::text('HS256', $claims);

        return "$text." . Signer::encode(hash_hmac('sha256', $text, self::SECRET, true));
    }
}

<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Sse\Grant;

/** Signed grants: what is changed in one, or signed by another, is none. */
final class LibraryGrantTest extends TestCase
{
    private const KEY = '0123456789abcdef0123456789abcdef';

    public function testAGrantIsForItsTopicsItsTimeAndItsUser(): void
    {
        $before = time();
        $token = Grant::sign(['orders.42.**', 'news'], 60, self::KEY, 'alice');
        $grant = Grant::verify($token, self::KEY, 'alice');

        self::assertNotNull($grant);
        self::assertSame(['orders.42.**', 'news'], $grant->topics);
        self::assertSame('alice', $grant->user);
        self::assertGreaterThanOrEqual($before + 60, $grant->expires);
        self::assertTrue($grant->policy()->allows('orders.42.paid'));
        self::assertFalse($grant->policy()->allows('orders.**'));
        self::assertMatchesRegularExpression('/^[\w-]+\.[\w-]+$/D', $token);
        self::assertNull(Grant::verify($token, self::KEY));
        self::assertNull(Grant::verify($token, self::KEY, 'bob'));
        self::assertNotNull(Grant::verify(Grant::sign(['a'], 60, self::KEY), self::KEY, 'bob'));
    }

    public function testNoChangedGrantIsGood(): void
    {
        $token = Grant::sign(['news'], 60, self::KEY);
        self::assertNotNull(Grant::verify($token, self::KEY));

        for ($i = 0; $i < strlen($token); $i++) {
            foreach (['A', 'B', '-', '.', ''] as $other) {
                $changed = substr_replace($token, $other, $i, 1);
                if ($changed !== $token) {
                    self::assertNull(Grant::verify($changed, self::KEY), $changed);
                }
            }
        }
        [$payload, $signature] = explode('.', $token);
        foreach (['', '.', "$payload.", ".$signature", "$token.", "$token=", " $token", "$token\n", "$payload.$signature.x"] as $bad) {
            self::assertNull(Grant::verify($bad, self::KEY), $bad);
        }
        self::assertNull(Grant::verify($token, strrev(self::KEY)));
    }

    public function testAnExpiredGrantIsNone(): void
    {
        $sign = static function (array $content): string {
            $payload = Signer::encode(json_encode($content, JSON_THROW_ON_ERROR));

            return "$payload." . Signer::encode(hash_hmac('sha256', "php-sse grant\n$payload", self::KEY, true));
        };
        $content = ['v' => 1, 't' => ['news'], 'e' => time() + 60, 'u' => null];

        self::assertNotNull(Grant::verify($sign($content), self::KEY));
        self::assertNull(Grant::verify($sign(['e' => time()] + $content), self::KEY));
        self::assertNull(Grant::verify($sign(['v' => 2] + $content), self::KEY));
    }

    /** @return list<array{list<string>, int, string}> */
    public static function mistakes(): array
    {
        return [
            [[], 60, self::KEY],
            [['a b'], 60, self::KEY],
            [['a'], 0, self::KEY],
            [['a'], 60, 'too short'],
            [array_map(static fn (int $i): string => "orders.$i", range(1, 500)), 60, self::KEY],
        ];
    }

    /**
     * @dataProvider mistakes
     *
     * @param list<string> $topics
     */
    public function testAMistakeIsAnException(array $topics, int $seconds, string $key): void
    {
        $this->expectException(InvalidArgumentException::class);
        Grant::sign($topics, $seconds, $key);
    }

    public function testAShortKeyVerifiesNothing(): void
    {
        $this->expectException(InvalidArgumentException::class);
        Grant::verify('anything', 'too short');
    }
}

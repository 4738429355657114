<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Sse\Policy;
use Sse\Topic;

/** Topics of values, patterns within patterns, and the policies made of them. */
final class LibraryTopicTest extends TestCase
{
    public function testEachValueHasASegmentOfItsOwnThatIsOne(): void
    {
        $values = ['', '~', '%7E', '.', '..', '*', '**', ' ', 'a b', "a\nb", "a\0b", 'a.b', 'a%2Eb', 'A', 'a', '5', '05', '日本', "\xff",
            str_repeat('x', 110), str_repeat('x', 111), str_repeat('x', 112), '~' . hash('sha256', str_repeat('x', 111))];
        $segments = array_map(Topic::segment(...), $values);

        self::assertSame($segments, array_values(array_unique($segments)));
        foreach ($segments as $i => $segment) {
            self::assertTrue(Topic::isTopic($segment), $segment);
            self::assertStringNotContainsString('.', $segment);
            self::assertSame(strlen($values[$i]) > 110 ? null : $values[$i], Topic::value($segment));
        }
        self::assertSame('records.posts.a%2Eb', Topic::of('records', 'posts', 'a.b'));
        self::assertSame('records.posts.5', Topic::of('records', 'posts', 5));
        foreach (['a b', '%', '%7e', 'é', '~x'] as $none) {
            self::assertNull(Topic::value($none), $none);
        }
        $longest = Topic::of(str_repeat('p', 20), str_repeat('é', 500), str_repeat('*', 500));
        self::assertTrue(Topic::isTopic($longest));
    }

    /** @return list<array{string, string, bool}> allowed, asked, whether it covers it */
    public static function pairs(): array
    {
        return [
            ['a', 'a', true], ['a', 'b', false], ['a', 'a.b', false], ['a.b', 'a', false], ['a', '*', false], ['a', '**', false],
            ['*', 'a', true], ['*', '*', true], ['*', '**', false], ['*', 'a.b', false],
            ['**', 'a', true], ['**', 'a.b.c', true], ['**', '*', true], ['**', '**', true], ['**', '*.a.**', true],
            ['a.*', 'a.b', true], ['a.*', 'a.*', true], ['a.*', 'a.**', false], ['a.*', 'a', false], ['a.*', '*.b', false],
            ['a.**', 'a.b', true], ['a.**', 'a.*', true], ['a.**', 'a.**', true], ['a.**', 'a.*.**', true], ['a.**', 'a', false],
            ['a.**', '**', false], ['a.**', '*.**', false], ['a.*.**', 'a.**', false], ['*.b', 'a.b', true], ['*.b', '*.b', true],
            ['**', '$a.b', false], ['**', '$a.**', false], ['*', '$a', false], ['*.**', '$a.b', false], ['*.*.*', '$a.b.c', false],
            ['$a.*', '$a.b', true], ['$a.**', '$a.b.*', true], ['$a.b', '$a.b', true], ['$a.**', '**', false], ['a.*', 'a.$b', true],
            ['*.b', '*.*', false], ['a.*.c', 'a.b.c', true], ['a.*.c', 'a.*.c', true], ['a.*.c', 'a.*.*', false],
        ];
    }

    /** @dataProvider pairs */
    public function testAPatternCoversWhatWatchesNothingElse(string $allowed, string $asked, bool $covers): void
    {
        self::assertSame($covers, Topic::covers($allowed, $asked));
    }

    public function testWhatIsNoPatternIsAnError(): void
    {
        $bad = ['', '.', 'a.', '.a', 'a..b', 'a b', "a\n", "a\u{a0}b", "a\u{85}b", "\xff", 'a*', '***', '**.a'];
        array_push($bad, str_repeat('x', 256), str_repeat('a.', 16) . '*');
        foreach ($bad as $pattern) {
            self::assertFalse(Topic::isPattern($pattern), $pattern);
            self::assertFalse(Policy::patterns('**')->allows($pattern), $pattern);
        }
        self::assertTrue(Topic::isPattern('räume.ü'));
        self::assertTrue(Topic::isPattern(str_repeat('a.', 15) . '**'));
        self::assertTrue(Topic::isTopic(str_repeat('a.', 100) . 'a'), 'wildcards are what is costly');
        self::assertFalse(Topic::isTopic('a.*'));
        $this->expectException(InvalidArgumentException::class);
        Topic::covers('a', 'a..b');
    }

    public function testARoleMayWhatItsPatternsSay(): void
    {
        $patterns = ['guest' => ['news'], 'member' => ['users.{user}.**', 'teams.{team}'], 'nobody' => ['secret']];
        $policy = Policy::roles($patterns, ['guest', 'member', 'unknown'], ['user' => 'a.*', 'team' => null]);

        self::assertTrue($policy->allows('news'));
        self::assertTrue($policy->allows('users.a%2E%2A.mail'));
        foreach (['users.a.*', 'users.a.b', 'users.a.*.mail', 'teams.~', 'teams.{team}', 'teams.', 'secret', 'news.a', '*'] as $topic) {
            self::assertFalse($policy->allows($topic), $topic);
        }
        self::assertFalse(Policy::none()->allows('a'));
        self::assertTrue(Policy::none()->or($policy)->allows('news'));
    }

    public function testACallableIsNotAskedForPatternsUnlessItKnowsThem(): void
    {
        $notSecret = static fn (string $topic): bool => $topic !== 'secret';

        self::assertTrue(Policy::ask($notSecret)->allows('news'));
        self::assertFalse(Policy::ask($notSecret)->allows('secret'));
        self::assertFalse(Policy::ask($notSecret)->allows('**'));
        self::assertFalse(Policy::ask($notSecret)->allows('a.*'));
        self::assertTrue(Policy::ask($notSecret, patterns: true)->allows('**'));
        foreach (['$presence.chat', '$presence.**', '$mercure.match.%2A', '$mercure.allow.%2A'] as $own) {
            self::assertFalse(Policy::ask($notSecret)->allows($own), $own);
            self::assertFalse(Policy::ask($notSecret, patterns: true)->allows($own), $own);
        }
        self::assertTrue(Policy::ask($notSecret)->or(Policy::patterns('$presence.*'))->allows('$presence.chat'));
        // Only true is yes.
        self::assertFalse(Policy::ask(static fn (string $topic) => 1)->allows('news'));
    }
}

<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Sse\Laravel\ChannelTopics;
use Sse\Laravel\Settings;
use Sse\Topic;

/** The topics of channels, and the settings of an application, without one. */
final class LaravelChannelTopicsTest extends TestCase
{
    private const NAMES = ['news', 'News', 'news.event', 'news.*', '*', '**', '.', '..', '...', 'a.b', 'a..b', 'a.', '.a', 'a%2Eb',
        'a.%2Eb', 'a b', "a\nb", "a\0b", 'a,b', '$presence.a', '日本', '~', '0', 'private-news', 'private-a.b', 'presence-a', 'presence-a.b',
        'presence-a.*', 'presence-.', 'event', 'presence', 'private-', 'presence-'];

    public function testEachChannelHasATopicOfItsOwnWhichNoOtherChannelsPatternMatches(): void
    {
        $topics = new ChannelTopics('app');
        foreach (self::NAMES as $channel) {
            $topic = $topics->topic($channel);
            self::assertTrue(Topic::isTopic($topic), $topic);
            self::assertSame($channel, $topics->channel($topics->pattern($channel)));
            $watching = array_filter(self::NAMES, static fn (string $other): bool => Topic::covers($topics->pattern($other), $topic));
            self::assertSame([$channel], array_values($watching));
        }
    }

    /** The other members of a stream with a presence channel may not see who watches the stream's other channels. */
    public function testOnlyThePatternOfAPresenceChannelCanHaveMembers(): void
    {
        $topics = new ChannelTopics('app');
        foreach (self::NAMES as $channel) {
            $isPlain = Topic::isTopic($topics->pattern($channel));
            self::assertSame(str_starts_with($channel, 'presence-'), $isPlain, $channel);
        }
    }

    /** A stream watches it instead of a refused channel: whatever a client calls a channel, nothing may come by it. */
    public function testWhatIsWatchedInsteadOfARefusedChannelIsNoChannelsPattern(): void
    {
        $topics = new ChannelTopics('app');
        foreach ([...self::NAMES, '%', '%.a', "\xff", ''] as $refused) {
            $pattern = $topics->refused($refused);
            self::assertTrue(Topic::isPattern($pattern), $pattern);
            self::assertTrue($topics->isRefused($pattern));
            self::assertNull($topics->channel($pattern));
            foreach ([...self::NAMES, '%', '%.a', '%.' . explode('.', $pattern)[2], substr($pattern, 4)] as $channel) {
                self::assertFalse(Topic::covers($pattern, $topics->topic($channel)), $channel);
                self::assertFalse($topics->isRefused($topics->pattern($channel)), $channel);
            }
        }
    }

    public function testTwoApplicationsShareNothing(): void
    {
        $one = new ChannelTopics('app');
        $other = new ChannelTopics('app-2');
        foreach (self::NAMES as $channel) {
            self::assertNull($one->channel($other->pattern($channel)));
            foreach (self::NAMES as $theirs) {
                self::assertFalse(Topic::covers($one->pattern($channel), $other->topic($theirs)));
            }
        }
    }

    public function testANameThatCanHaveNoTopicIsTold(): void
    {
        $topics = new ChannelTopics(str_repeat('p', 64));
        foreach (['', "\xff", str_repeat('x', 181), str_repeat('é', 31), str_repeat('a.', 14) . 'a'] as $channel) {
            self::assertFalse($topics->has($channel));
            try {
                $topics->topic($channel);
                self::fail('an exception is thrown');
            } catch (InvalidArgumentException $exception) {
                self::assertStringContainsString('has no topic', $exception->getMessage());
                self::assertLessThan(400, strlen($exception->getMessage()));
            }
        }
        foreach ([str_repeat('x', 180), str_repeat('é', 30), 'presence-' . str_repeat('a.', 13) . 'a'] as $channel) {
            self::assertTrue(Topic::isTopic($topics->topic($channel)));
            self::assertTrue(Topic::isPattern($topics->pattern($channel)));
        }
    }

    public function testAPrefixIsOneSegment(): void
    {
        foreach (['', 'a.b', '*', 'a b', '$presence', "a\n", str_repeat('p', 65)] as $prefix) {
            try {
                new ChannelTopics($prefix);
                self::fail('an exception is thrown');
            } catch (InvalidArgumentException $exception) {
                self::assertStringContainsString('sse.prefix', $exception->getMessage());
            }
        }
    }

    public function testASettingThatCanNotBeUsedIsToldByItsName(): void
    {
        $good = [
            'prefix' => 'app', 'path' => null, 'middleware' => ['web'], 'max_channels' => '50', 'reauthorize' => 0, 'user_key' => true,
            'publish' => 'ack', 'whispers' => false, 'whisper_bytes' => 10,
        ];
        self::assertSame([50, null, []], [(new Settings($good))->maxChannels, (new Settings($good))->path, (new Settings($good))->stream]);
        $wrong = [
            'prefix' => 7, 'path' => 7, 'middleware' => 'web', 'max_channels' => '-1', 'reauthorize' => 'often', 'user_key' => 'yes',
            'publish' => '', 'whispers' => null, 'whisper_bytes' => 1.5, 'stream' => ['heartbeat'], 'stream_middleware' => [1],
        ];
        foreach ($wrong as $name => $value) {
            try {
                new Settings([$name => $value] + $good);
                self::fail("'$name' is refused");
            } catch (InvalidArgumentException $exception) {
                self::assertStringContainsString("config/sse.php: '$name' must be", $exception->getMessage());
            }
        }
    }
}

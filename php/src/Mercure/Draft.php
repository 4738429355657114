<?php

declare(strict_types=1);

namespace Sse\Mercure;

use Sse\Endpoint\Answer;

/** Version 0.x of the protocol. */
final class Draft implements Protocol
{
    /** Most selectors in each list of a token, topics of an update, or selectors of a stream. */
    private const MOST = 1000;
    /** The claim's name among those of other protocols; it comes before the short one. */
    private const NAMESPACED = 'https://mercure.rocks/';

    public function cookie(): string
    {
        return 'mercureAuthorization';
    }

    public function takesTokenInUrl(): bool
    {
        return true;
    }

    public function claims(Token $token): ?Claims
    {
        $name = isset($token->claims[self::NAMESPACED]) ? self::NAMESPACED : 'mercure';
        $claim = $token->claims[$name] ?? [];
        $publish = is_array($claim) ? self::selectors($claim['publish'] ?? []) : null;
        $subscribe = is_array($claim) ? self::selectors($claim['subscribe'] ?? []) : null;
        if ($publish === null || $subscribe === null) {
            return null;
        }

        return new Claims($publish, $subscribe, $token->expires, [
            ['matchers' => [Matcher::selector('*')], 'payload' => $token->plain($name, 'payload')],
        ]);
    }

    public function matchers(Fields $query): array|Answer
    {
        $selectors = $query->all('topic');
        if ($selectors === []) {
            return Text::answer(400, 'Missing "topic" parameter.');
        }
        if (count($selectors) > self::MOST) {
            return Text::answer(400, 'Too many "topic" parameters.');
        }

        return array_map(Matcher::selector(...), $selectors);
    }

    public function lastEventIdParameter(): string
    {
        return 'lastEventID';
    }

    public function lastEventIdHeader(): string
    {
        return 'Last-Event-ID';
    }

    public function refuseUpdate(Fields $form): ?Answer
    {
        if (count($form->all('topic')) > self::MOST) {
            return Text::answer(400, 'Too many "topic" parameters');
        }
        foreach ($form->all('topic') as $topic) {
            if (str_contains($topic, Subscriptions::HUB)) {
                return Text::answer(403, 'Topics with ' . Subscriptions::HUB . ' in them are the hub\'s own');
            }
        }
        if (str_starts_with($form->first('id'), '#')) {
            return Text::answer(400, 'Invalid "id" parameter: it must not start with #');
        }

        return null;
    }

    public function deny(Denial $why, string $text): Answer
    {
        return Text::answer(401, $text);
    }

    public function subscriptions(array $names): ?array
    {
        return match (count($names)) {
            0 => [null, null],
            1, 2 => [Matcher::selector($names[0]), $names[1] ?? null],
            default => null,
        };
    }

    public function list(string $url, string $json, bool $isSingle, string $lastEventId, ?string $next): Answer
    {
        $cursor = '"lastEventID":' . (string) json_encode($lastEventId, JSON_UNESCAPED_SLASHES);
        $id = (string) json_encode($url, JSON_UNESCAPED_SLASHES);
        $begin = "{\"@context\":\"https://mercure.rocks/\",\"id\":$id,\"type\":\"Subscriptions\",$cursor";
        $body = $isSingle ? substr($json, 0, -1) . ",$cursor}" : "$begin,\"subscriptions\":$json}";

        return new Answer(200, $body, [
            'Content-Type' => 'application/ld+json',
            'Link' => '<' . Subscriptions::HUB . '>; rel="mercure"' . ($next === null ? '' : ", <$next>; rel=\"next\""),
        ]);
    }

    public function subscriberInfo(array $payloads): mixed
    {
        // One is for all.
        $payload = reset($payloads);

        return $payload === null || $payload === false ? null : ['payload' => $payload];
    }

    public function metadata(bool $subscriptions, string $cookie): Answer
    {
        return Text::answer(404, 'This version of the protocol has no such document');
    }

    /** @return list<Matcher>|null null if it is no list of texts, or has too many */
    private static function selectors(mixed $list): ?array
    {
        if (!is_array($list) || count($list) > self::MOST || array_filter($list, 'is_string') !== $list) {
            return null;
        }

        return array_map(Matcher::selector(...), array_values($list));
    }
}

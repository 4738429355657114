<?php

declare(strict_types=1);

// Who may watch and publish what, in a site whose users are told by a header, for once.
use Sse\Endpoint\Site;
use Sse\Policy;

$user = $_SERVER['HTTP_X_USER'] ?? null;
$roles = $user === null ? ['guest'] : ['guest', 'member'];
if ($user === 'root') {
    $roles[] = 'operator';
}
if (is_file(__DIR__ . '/no-chat')) {
    $roles = ['guest'];
}
if (is_file(__DIR__ . '/banned')) {
    $roles = [];
}

// What a site might allow that means "everything".
$everything = match ($_SERVER['HTTP_X_EVERYTHING'] ?? null) {
    'deep' => Policy::patterns('**'),
    'wide' => Policy::patterns('*', '*.*', '*.*.*', '*.*.*.**'),
    'asked' => Policy::ask(static fn (): bool => true),
    'asked with patterns' => Policy::ask(static fn (): bool => true, patterns: true),
    'named' => Policy::patterns('$mercure.**', '*', '$presence.room'),
    default => Policy::none(),
};

return new Site(
    watch: $everything->or(Policy::roles([
        'guest' => ['news'],
        'member' => ['chat.*', 'users.{user}.**'],
        'operator' => ['**'],
    ], $roles, ['user' => $user])),
    publish: $everything->or($user === null ? Policy::patterns('guestbook') : Policy::patterns('chat.*', 'guestbook')),
    prepare: fn (string $topic, mixed $data): ?array => is_string($data['text'] ?? null)
        ? ['from' => $user ?? 'guest', 'text' => $data['text']]
        : null,
    origins: ['https://app.example'],
    grantKey: 'the key of the grants of this test, 32 bytes at least',
    user: $user,
    reauthorize: 1,
    env: __DIR__ . '/.apienv',
    presence: isset($_SERVER['HTTP_X_PRESENT']) ? ['id' => $user] : null,
    dashboard: isset($_SERVER['HTTP_X_RIGHTS']) ? Policy::patterns(...explode(' ', $_SERVER['HTTP_X_RIGHTS'])) : null,
);

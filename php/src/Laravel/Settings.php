<?php

declare(strict_types=1);

namespace Sse\Laravel;

use InvalidArgumentException;

/** What config/sse.php says, checked: a setting that can't be used is told by its name, when the application starts. */
final class Settings
{
    public readonly string $prefix;
    /** Null: no routes. */
    public readonly ?string $path;
    /** @var list<string> */
    public readonly array $middleware;
    /** @var list<string> */
    public readonly array $streamMiddleware;
    /** @var list<string> */
    public readonly array $whisperMiddleware;
    /** @var positive-int */
    public readonly int $maxChannels;
    public readonly int $reauthorize;
    public readonly bool $userKey;
    /** @var array<string, mixed> */
    public readonly array $stream;
    public readonly string $publish;
    public readonly bool $whispers;
    public readonly int $whisperBytes;

    /**
     * @param array<array-key, mixed> $config
     *
     * @throws InvalidArgumentException A setting that can't be used.
     */
    public function __construct(private readonly array $config)
    {
        $this->prefix = $this->text('prefix');
        $this->path = ($config['path'] ?? '') === '' ? null : $this->text('path');
        $this->middleware = $this->list('middleware');
        $this->streamMiddleware = $this->list('stream_middleware');
        $this->whisperMiddleware = $this->list('whisper_middleware');
        $this->maxChannels = max(1, $this->number('max_channels'));
        $this->reauthorize = $this->number('reauthorize');
        $this->userKey = $this->flag('user_key');
        $this->stream = $this->options('stream');
        $this->publish = $this->text('publish');
        $this->whispers = $this->flag('whispers');
        $this->whisperBytes = $this->number('whisper_bytes');
    }

    private function text(string $name): string
    {
        $value = $this->config[$name] ?? null;

        return is_string($value) && $value !== '' ? $value : throw $this->wrong($name, 'a text that is not empty');
    }

    /** From the environment, numbers come as text. */
    private function number(string $name): int
    {
        $value = filter_var($this->config[$name] ?? null, FILTER_VALIDATE_INT, ['options' => ['min_range' => 0]]);

        return is_int($value) ? $value : throw $this->wrong($name, 'a whole number from 0 on');
    }

    private function flag(string $name): bool
    {
        $value = $this->config[$name] ?? null;

        return is_bool($value) ? $value : throw $this->wrong($name, 'true or false');
    }

    /** @return list<string> */
    private function list(string $name): array
    {
        $list = [];
        foreach ($this->several($name) as $value) {
            $list[] = is_string($value) ? $value : throw $this->wrong($name, 'a list of texts');
        }

        return $list;
    }

    /** @return array<string, mixed> */
    private function options(string $name): array
    {
        $options = [];
        foreach ($this->several($name) as $option => $value) {
            $options[is_string($option) ? $option : throw $this->wrong($name, 'values by the names of options')] = $value;
        }

        return $options;
    }

    /** @return array<array-key, mixed> */
    private function several(string $name): array
    {
        $value = $this->config[$name] ?? [];

        return is_array($value) ? $value : throw $this->wrong($name, 'an array');
    }

    private function wrong(string $name, string $right): InvalidArgumentException
    {
        $value = get_debug_type($this->config[$name] ?? null);

        return new InvalidArgumentException("config/sse.php: '$name' must be $right, $value given");
    }
}

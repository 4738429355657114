<?php

declare(strict_types=1);

namespace App\Model\Table;

use App\State;
use ArrayIterator;
use IteratorAggregate;
use JsonSerializable;
use SseTrigger;
use Traversable;

/** A table as an ORM has it: what it finds can be iterated, and is a list in JSON. */
final class NotificationsTable implements IteratorAggregate, JsonSerializable
{
    public function afterSave(string $userId): bool
    {
        return SseTrigger::push('notifications_timestamp_user_' . $userId);
    }

    public function getIterator(): Traversable
    {
        return new ArrayIterator($this->jsonSerialize());
    }

    public function jsonSerialize(): array
    {
        return [['id' => 2, 'text' => State::text()], ['id' => 1, 'text' => 'welcome']];
    }
}

<?php

require 'database.php';
require 'session.php';

$user = user();
sse_stream("notifications.$user", function (array $events) use ($user): array {
    $query = database()->prepare('SELECT text FROM notification WHERE user = ? AND NOT seen ORDER BY id');
    $query->execute([$user]);

    return $query->fetchAll(PDO::FETCH_COLUMN);
}, ['event' => 'unread', 'user' => "user-$user", 'max_per_user' => 10]);

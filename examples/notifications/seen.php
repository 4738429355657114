<?php

require 'database.php';
require 'session.php';

$user = user();
database()->prepare('UPDATE notification SET seen = 1 WHERE user = ?')->execute([$user]);
SseTrigger::push("notifications.$user");

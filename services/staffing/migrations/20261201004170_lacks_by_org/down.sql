DROP INDEX tasks_lacks;
